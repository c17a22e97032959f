#pragma once

#include <gtest/gtest.h>
#include <simdjson.h>

#include <filesystem>
#include <string>
#include <utility>

#include "app/policy_eval.h"
#include "cluster/manifest_reader.h"

/// What tests ask PolicyEval, and how they read its answers.
namespace weir::app {

namespace fs = std::filesystem;
using simdjson::dom::element;

inline PolicyEval make_eval(cluster::ClusterObjects objects, policy::EngineOptions options = {}) {
  options.trace_names = policy::TraceNames::kKind;
  return PolicyEval::create(std::move(objects), options).value();
}

/// The answer to one query, as text members: "allowed", "egress", "egress trace", ….
class Asker {
 public:
  explicit Asker(cluster::ClusterObjects objects, const policy::EngineOptions& options = {})
      : eval_(make_eval(std::move(objects), options)) {}

  element ask(const std::string& query) {
    answer_.clear();
    EXPECT_TRUE(eval_.answer(query, ++lines_, answer_)) << answer_;
    return parser_.parse(answer_).value();
  }
  const std::string& answer() const { return answer_; }

 private:
  PolicyEval eval_;
  simdjson::dom::parser parser_;
  std::string answer_;
  std::uint64_t lines_ = 0;
};

inline std::string_view text(element parent, const char* member) { return parent[member].get_string().value(); }

/// A copy: what a result's value() refers to dies with the result.
inline simdjson::dom::array array_of(simdjson::simdjson_result<element> result) { return result.get_array(); }

/// Entries joined by blanks; empty for an end that is not managed.
inline std::string trace_of(element side, const char* member) {
  std::string joined;
  if (side.is_null()) return joined;
  for (const element entry : array_of(side[member])) {
    joined += (joined.empty() ? "" : " ") + std::string(entry.get_string().value());
  }
  return joined;
}

}  // namespace weir::app
