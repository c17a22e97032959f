#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "ingest/id_index.h"
#include "store/store.h"

/// Elasticsearch's bulk requests, as its clients and other shippers send them, into the store.
namespace weir::ingest {

struct BulkItem {
  enum class Action : std::uint8_t { kIndex, kCreate, kUpdate, kDelete };
  Action action = Action::kIndex;
  std::string index;
  /// Empty: the client leaves it to us.
  std::string id;
  /// The document; empty for kDelete. Borrowed from the body.
  std::string_view source;

  // The result.
  unsigned status = 201;
  /// Elasticsearch's name of an error, and its reason; empty: there is none.
  std::string error_type, error_reason;
};

/// Splits a body into its items. `default_index` is that of the path; may be empty.
/// Errors: kInvalidArgument, a line of actions is none: nothing of the body can be believed then.
Result<std::vector<BulkItem>> parse_bulk(std::string_view body, std::string_view default_index);

/// "tigera_secure_ee_flows.cluster.20260101", "weir-dns", "flows": by the name of the log in it, behind known prefixes.
std::optional<model::LogType> log_of_index(std::string_view index);

/// Stores what bulk requests hold. Threads: any number.
class BulkIngest {
 public:
  /// `directory`: of the ids; made if it is not there. The store outlives it.
  static Result<std::unique_ptr<BulkIngest>> open(store::Store& store, const std::string& directory);

  /// Gives each item its result. When it returns, the items of status 200 and 201 are durable. A document whose `_id`
  /// was stored before is not stored again: 409 for create, 200 for index.
  void store_items(std::vector<BulkItem>& items);

 private:
  BulkIngest(store::Store& store, std::unique_ptr<IdIndex> ids) : store_(store), ids_(std::move(ids)) {}
  void store_log(model::LogType log, std::span<BulkItem* const> items);

  store::Store& store_;
  std::unique_ptr<IdIndex> ids_;
};

}  // namespace weir::ingest
