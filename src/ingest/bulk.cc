#include "ingest/bulk.h"

#include <absl/container/flat_hash_set.h>

#include <algorithm>
#include <array>

namespace weir::ingest {
namespace {

void refuse(BulkItem& item, unsigned status, std::string type, std::string reason) {
  item.status = status;
  item.error_type = std::move(type);
  item.error_reason = std::move(reason);
}

/// As Elasticsearch answers for ids that are there: create does not touch them, index replaces them, here with the
/// same.
void already_stored(BulkItem& item) {
  if (item.action == BulkItem::Action::kIndex) {
    item.status = 200;
  } else {
    refuse(item, 409, "version_conflict_engine_exception",
           "[" + item.id + "]: version conflict, document already exists");
  }
}

void fail(BulkItem& item, const Error& error) {
  if (error.code == ErrorCode::kResourceExhausted || error.code == ErrorCode::kUnavailable ||
      error.code == ErrorCode::kCancelled) {
    refuse(item, 429, "es_rejected_execution_exception", error.message);
  } else {
    refuse(item, 500, "exception", error.message);
  }
}

}  // namespace

Result<std::unique_ptr<BulkIngest>> BulkIngest::open(store::Store& store, const std::string& directory) {
  TRY_ASSIGN(std::unique_ptr<IdIndex> ids, IdIndex::open(store, directory));
  return std::unique_ptr<BulkIngest>(new BulkIngest(store, std::move(ids)));
}

void BulkIngest::store_items(std::vector<BulkItem>& items) {
  std::array<std::vector<BulkItem*>, model::kLogTypes> by_log;
  for (BulkItem& item : items) {
    if (item.action == BulkItem::Action::kUpdate || item.action == BulkItem::Action::kDelete) {
      refuse(item, 400, "illegal_argument_exception", "logs are only added to: index and create are possible");
      continue;
    }
    const auto log = log_of_index(item.index);
    if (!log) {
      refuse(item, 404, "index_not_found_exception",
             "no such index [" + item.index + "]: it names none of the logs flows, dns, l7, agent, audit");
      continue;
    }
    by_log[static_cast<std::size_t>(*log)].push_back(&item);
  }
  for (std::size_t i = 0; i < by_log.size(); ++i) {
    // The store names so many refused lines of one append, and each item wants its own result.
    const std::span<BulkItem* const> all(by_log[i]);
    for (std::size_t at = 0; at < all.size(); at += store::kMaxRefusedShown) {
      store_log(static_cast<model::LogType>(i), all.subspan(at, std::min(store::kMaxRefusedShown, all.size() - at)));
    }
  }
}

void BulkIngest::store_log(model::LogType log, std::span<BulkItem* const> items) {
  std::vector<std::uint64_t> hashes;
  for (const BulkItem* item : items) {
    if (!item->id.empty()) hashes.push_back(IdIndex::hash(item->index, item->id));
  }
  const std::vector<IdIndex::Known> known = ids_->begin(hashes);
  std::vector<std::uint64_t> fresh;
  absl::flat_hash_set<std::uint64_t> ours;
  std::vector<BulkItem*> taken;
  std::string text;
  std::size_t at = 0;
  for (BulkItem* item : items) {
    if (!item->id.empty()) {
      const std::uint64_t hash = hashes[at];
      const IdIndex::Known state = known[at++];
      const bool twice = state == IdIndex::Known::kPending && ours.contains(hash);
      if (state == IdIndex::Known::kStored || twice) {
        already_stored(*item);
        continue;
      }
      if (state == IdIndex::Known::kPending) {
        refuse(*item, 429, "es_rejected_execution_exception", "the same document is being stored by another request");
        continue;
      }
      fresh.push_back(hash);
      ours.insert(hash);
    }
    taken.push_back(item);
    text.append(item->source).append("\n");
  }
  if (taken.empty()) return;
  std::optional<store::SourceRange> range;
  if (!fresh.empty()) {
    Result<store::SourceRange> noted = ids_->note(fresh);
    if (!noted.ok()) {
      ids_->abort(fresh);
      for (BulkItem* item : taken) fail(*item, noted.error());
      return;
    }
    range = std::move(noted).value();
  }
  const Result<store::Appended> appended = store_.append(log, range, text);
  if (!appended.ok()) {
    ids_->abort(fresh);
    for (BulkItem* item : taken) fail(*item, appended.error());
    return;
  }
  std::vector<std::uint64_t> refused;
  for (const store::Refused& line : appended.value().refused) {
    if (line.line == 0 || line.line > taken.size()) continue;
    BulkItem& item = *taken[line.line - 1];
    refuse(item, 400, "mapper_parsing_exception", line.reason);
    if (!item.id.empty()) refused.push_back(IdIndex::hash(item.index, item.id));
  }
  std::sort(refused.begin(), refused.end());
  std::erase_if(fresh, [&](std::uint64_t hash) { return std::binary_search(refused.begin(), refused.end(), hash); });
  ids_->commit(fresh);
  ids_->abort(refused);
}

}  // namespace weir::ingest
