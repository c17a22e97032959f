#include "http/message.h"

#include <gtest/gtest.h>

#include "http/internal/router.h"

namespace weir::http {
namespace {

TEST(Message, TargetsAreSplitAndDecoded) {
  const struct {
    const char *target, *path;
    Fields query;
  } good[] = {
      {"/", "/", {}},
      {"/a/b?", "/a/b", {}},
      {"/a%20b?x=1&y=%26+%3d&flag&&z=", "/a b", {{"x", "1"}, {"y", "& ="}, {"flag", ""}, {"z", ""}}},
      {"/a+b?c+d=e+f", "/a+b", {{"c d", "e f"}}},
      {"/?a=b=c?d", "/", {{"a", "b=c?d"}}},
      {"http://host:80/x?y=1", "/x", {{"y", "1"}}},
      {"http://host", "/", {}},
  };
  for (const auto& c : good) {
    SCOPED_TRACE(c.target);
    std::string path;
    Fields query;
    ASSERT_TRUE(parse_target(c.target, path, query));
    EXPECT_EQ(path, c.path);
    EXPECT_EQ(query, c.query);
  }
  for (const char* bad : {"", "a", "*", "/%", "/%2", "/%zz", "/%00", "/?a=%", "/?%0=1", "?x"}) {
    SCOPED_TRACE(bad);
    std::string path;
    Fields query;
    EXPECT_FALSE(parse_target(bad, path, query));
  }
}

TEST(Message, ProblemsAreThoseOfRfc9457) {
  const Answer answer = problem(404, "no \"x\"");
  EXPECT_EQ(answer.status, 404u);
  EXPECT_EQ(answer.content_type, "application/problem+json");
  EXPECT_EQ(answer.body, R"({"type":"about:blank","title":"Not Found","status":404,"detail":"no \"x\""})"
                         "\n");
}

TEST(Message, TheFirstRouteThatMatchesPathAndMethodCounts) {
  const std::vector<Route> routes = {
      {Method::kGet, "/", {}},       {Method::kGet, "/a/{x}", {}},       {Method::kPost, "/a/{x}", {}},
      {Method::kHead, "/a/{x}", {}}, {Method::kGet, "/a/{x}/b/{y}", {}}, {Method::kPost, "/only/post", {}},
  };
  const struct {
    Method method;
    const char* path;
    int route;
    bool known;
    Fields parameters;
  } cases[] = {
      {Method::kGet, "/", 0, true, {}},
      {Method::kHead, "/", 0, true, {}},
      {Method::kGet, "/a/1", 1, true, {{"x", "1"}}},
      {Method::kPost, "/a/1", 2, true, {{"x", "1"}}},
      {Method::kHead, "/a/1", 3, true, {{"x", "1"}}},
      {Method::kGet, "/a/1/b/2", 4, true, {{"x", "1"}, {"y", "2"}}},
      {Method::kGet, "/a/", -1, false, {}},
      {Method::kGet, "/a", -1, false, {}},
      {Method::kGet, "/a/1/", -1, false, {}},
      {Method::kGet, "/a/1/c/2", -1, false, {}},
      {Method::kDelete, "/a/1", -1, true, {}},
      {Method::kHead, "/only/post", -1, true, {}},
  };
  for (const auto& c : cases) {
    SCOPED_TRACE(std::string(c.path) + " " + std::to_string(static_cast<int>(c.method)));
    Request request;
    request.method = c.method;
    request.path = c.path;
    const Match match = find_route(routes, request);
    EXPECT_EQ(match.route == nullptr ? -1 : match.route - routes.data(), c.route);
    EXPECT_EQ(match.path_known, c.known);
    EXPECT_EQ(request.parameters, c.parameters);
  }
}

}  // namespace
}  // namespace weir::http
