#include "query/plan.h"

#include <gtest/gtest.h>

#include <string>

namespace weir::query {
namespace {

Request request() {
  Request request;
  request.from = 100;
  request.to = 400;
  return request;
}

TEST(Plan, RefusesWhatMeansNothingAndSaysWhy) {
  struct Case {
    const char* want;
    void (*change)(Request&);
  };
  const Case cases[] = {
      {"range: from must be before to", [](Request& r) { r.to = 100; }},
      {"limit: must be from 1 to 100000", [](Request& r) { r.limit = 0; }},
      {"filter: column 1: unknown field 'nss'; did you mean ns?", [](Request& r) { r.filter = "nss = a"; }},
      {"group_by: unknown field 'dest_nam' of flows; did you mean dest_name?",
       [](Request& r) { r.group_by = {"dest_nam"}; }},
      {"group_by: dest_labels is a list; only single values can be used here",
       [](Request& r) { r.group_by = {"dest_labels"}; }},
      {"metrics: dest_port cannot be added up; use count, min, max or distinct",
       [](Request& r) {
         r.metrics = {{Aggregate::kSum, "dest_port"}};
       }},
      {"order: 'bytes_in' is no column of the answer",
       [](Request& r) {
         r.group_by = {"dest_port"};
         r.order = {{"bytes_in", true}};
       }},
      {"cursor: not one of an answer to this request", [](Request& r) { r.cursor = "r.1.2.3"; }},
  };
  for (const Case& c : cases) {
    Request changed = request();
    c.change(changed);
    const Status status = validate(changed);
    ASSERT_FALSE(status.ok()) << c.want;
    EXPECT_EQ(status.error().message, c.want);
  }
  EXPECT_TRUE(validate(request()).ok());
}

TEST(Plan, DeduplicatesUnlessTheReporterIsAskedFor) {
  Request changed = request();
  EXPECT_TRUE(make_plan(changed).value().deduplicate);
  changed.filter = "ns = a AND NOT reporter = dst";
  EXPECT_FALSE(make_plan(changed).value().deduplicate);
  changed.filter.clear();
  changed.group_by = {"reporter"};
  EXPECT_FALSE(make_plan(changed).value().deduplicate);
  changed.group_by.clear();
  changed.log = LogType::kDns;
  EXPECT_FALSE(make_plan(changed).value().deduplicate);
}

TEST(Plan, ACursorFitsItsRequestOnly) {
  Request changed = request();
  const Plan plan = make_plan(changed).value();
  ASSERT_TRUE(plan.newest_first);
  changed.cursor = cursor_after(plan, {.start_time = 250, .id = 7});
  const Plan next = make_plan(changed).value();
  EXPECT_EQ(next.position.start_time, 250);
  EXPECT_EQ(next.position.id, 7u);
  changed.filter = "ns = b";
  EXPECT_FALSE(make_plan(changed).ok());
}

TEST(Plan, MetricsAreReadByTheirNames) {
  for (const char* name :
       {"count", "sum(bytes_in)", "min(start_time)", "max(num_flows)", "rate(bytes)", "distinct(host)"}) {
    const auto metric = Metric::parse(name);
    ASSERT_TRUE(metric.ok()) << name;
    EXPECT_EQ(metric.value().name(), name);
  }
  EXPECT_FALSE(Metric::parse("avg(x)").ok());
}

TEST(Answer, BecomesTheLinesObject) {
  Answer answer;
  answer.columns = {{"a", ColumnKind::kText},   {"p.x", ColumnKind::kList},      {"p.y", ColumnKind::kList},
                    {"l", ColumnKind::kLabels}, {"extra", ColumnKind::kMembers}, {"n", ColumnKind::kInteger}};
  using List = std::vector<std::string>;
  answer.rows = {{std::string("q\"t"), List{"1|t"}, List{}, List{"k=v"}, std::string(R"({"z":[1]})"), std::int64_t{5}},
                 {Value{}, Value{}, Value{}, Value{}, Value{}, Value{}}};
  std::string out;
  append_json_object(out, answer, 0);
  EXPECT_EQ(out, R"({"a":"q\"t","p":{"x":["1|t"],"y":[]},"l":{"labels":["k=v"]},"z":[1],"n":5})");
  out.clear();
  append_json_object(out, answer, 1);
  EXPECT_EQ(out, R"({"a":null,"p":null,"l":null,"n":null})");
}

}  // namespace
}  // namespace weir::query
