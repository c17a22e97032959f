#include "kube/internal/reflector.h"

#include <gtest/gtest.h>

namespace weir::kube {
namespace {

using cluster::ObjectChange;

constexpr std::int64_t kMs = 1'000'000;
constexpr std::int64_t kWall = 1'800'000'000'000'000'000;

std::string pod(const std::string& name, const std::string& version, const std::string& uid = "") {
  return R"({"metadata":{"name":")" + name + R"(","namespace":"shop","uid":")" + (uid.empty() ? name : uid) +
         R"(","resourceVersion":")" + version + R"("},"status":{"podIP":"10.0.0.1"}})";
}
std::string list(const std::string& items, const std::string& version, const std::string& go_on = "") {
  return R"({"metadata":{"resourceVersion":")" + version + R"(","continue":")" + go_on + R"("},"items":[)" + items +
         "]}";
}
std::string event(const std::string& type, const std::string& object) {
  return R"({"type":")" + type + R"(","object":)" + object + "}\n";
}
std::string bookmark(const std::string& version) {
  return event("BOOKMARK", R"({"metadata":{"resourceVersion":")" + version + R"("}})");
}
std::string failure(int code, const std::string& message) {
  return R"({"kind":"Status","code":)" + std::to_string(code) + R"(,"message":")" + message + R"("})";
}

/// A reflector of pods, and a server that answers what the test says.
class ReflectorTest : public testing::Test {
 protected:
  static ReflectorOptions options() {
    ReflectorOptions options;
    options.name = "pods";
    options.paths = {"/api/v1/pods"};
    return options;
  }

  /// The target of the request that is due now; "" if none is.
  std::string ask() {
    const auto request = reflector_.next(now_);
    return request ? request->target : "";
  }
  void answer(int code, const std::string& body, const std::string& transport_error = "",
              std::int64_t retry_after = 0) {
    reflector_.on_answer(now_);
    std::string error = transport_error;
    if (!reflector_.on_data(code, body, now_, kWall)) error = "aborted";
    reflector_.on_end(code, error, retry_after, now_, kWall);
  }
  void data(const std::string& bytes) { EXPECT_TRUE(reflector_.on_data(200, bytes, now_, kWall)); }
  /// "+a -b": what changed; "*" marks what is live.
  std::string changes() {
    std::vector<ObjectChange> changes;
    reflector_.take_changes(changes);
    std::string text;
    for (const ObjectChange& change : changes) {
      text += (change.action == ObjectChange::Action::kPut ? "+" : "-") +
              std::get<cluster::Pod>(change.object).meta.name + (change.live ? "* " : " ");
    }
    return text;
  }
  std::string messages() {
    std::vector<std::string> messages;
    reflector_.take_messages(messages);
    std::string text;
    for (const std::string& message : messages) text += message + "\n";
    return text;
  }
  /// How long until the next request, in ms.
  std::int64_t wait_ms() const { return (reflector_.wake_ns() - now_) / kMs; }
  void pass_wait() { now_ = std::max(now_, reflector_.wake_ns()); }
  void list_two() {
    ask();
    answer(200, list(pod("a", "1") + "," + pod("b", "2"), "5"));
    EXPECT_EQ(changes(), "+a +b ");
  }

  Reflector reflector_{options(), 1};
  std::int64_t now_ = 1'000'000 * kMs;
};

TEST_F(ReflectorTest, ListsPageByPageAndWatchesFromThere) {
  EXPECT_EQ(ask(), "/api/v1/pods?limit=200");
  EXPECT_FALSE(reflector_.settled());
  answer(200, list(pod("a", "1"), "5", "a/b=="));
  EXPECT_EQ(changes(), "+a ");
  EXPECT_FALSE(reflector_.status().synced);
  EXPECT_EQ(ask(), "/api/v1/pods?limit=200&continue=a%2Fb%3D%3D");
  answer(200, list(pod("b", "2"), "5"));
  EXPECT_EQ(changes(), "+b ");
  EXPECT_TRUE(reflector_.settled());
  EXPECT_EQ(reflector_.status().objects, 2U);
  const std::string watch = ask();
  EXPECT_EQ(watch.substr(0, watch.find("timeoutSeconds")), "/api/v1/pods?watch=1&allowWatchBookmarks=true&");
  EXPECT_EQ(watch.substr(watch.find("&resourceVersion")), "&resourceVersion=5");

  const std::string events = event("ADDED", pod("c", "6")) + event("MODIFIED", pod("c", "7")) +
                             event("DELETED", pod("a", "8")) + bookmark("12");
  for (const char byte : events) data(std::string(1, byte));
  EXPECT_EQ(changes(), "+c* +c* -a* ");
  EXPECT_EQ(reflector_.status().objects, 2U);
  EXPECT_EQ(reflector_.status().events, 3U);
  reflector_.on_end(200, {}, 0, now_, kWall);
  const std::string again = ask();
  EXPECT_EQ(again.substr(again.find("&resourceVersion")), "&resourceVersion=12") << "at once, from the bookmark";
  EXPECT_EQ(reflector_.status().lists, 1U);
}

TEST_F(ReflectorTest, ACutWatchGoesOnWhereItWasAfterAWait) {
  list_two();
  ask();
  data(event("ADDED", pod("c", "6")) + R"({"type":"ADD)");
  reflector_.on_end(200, "transfer closed", 0, now_, kWall);
  EXPECT_EQ(changes(), "+c* ");
  EXPECT_EQ(ask(), "");
  EXPECT_GE(wait_ms(), 50);
  EXPECT_LE(wait_ms(), 100);
  pass_wait();
  const std::string again = ask();
  EXPECT_EQ(again.substr(again.find("&resourceVersion")), "&resourceVersion=6");
  answer(200, event("ADDED", pod("d", "7")));
  EXPECT_EQ(changes(), "+d* ") << "the torn part of before is gone";
}

TEST_F(ReflectorTest, WhatWasMissedIsNotLive) {
  list_two();
  ask();
  reflector_.on_end(0, "connection refused", 0, now_, kWall);
  now_ += 5000 * kMs;
  ask();
  reflector_.on_answer(now_);
  data(event("DELETED", pod("a", "6")));
  now_ += 1000 * kMs;
  data(event("DELETED", pod("b", "7")));
  EXPECT_EQ(changes(), "-a -b* ");
}

TEST_F(ReflectorTest, AForgottenPlaceIsListedAgainAndWhatWentIsDeleted) {
  struct Case {
    const char* name;
    int code;
    std::string body;
  };
  for (const Case& c : {Case{"in the watch", 200, event("ERROR", failure(410, "too old resource version"))},
                        Case{"at its start", 410, failure(410, "Gone")}}) {
    SCOPED_TRACE(c.name);
    reflector_ = Reflector(options(), 1);
    list_two();
    ask();
    answer(c.code, c.body);
    EXPECT_EQ(changes(), "") << "nothing is lost meanwhile";
    pass_wait();
    EXPECT_EQ(ask(), "/api/v1/pods?limit=200");
    answer(200, list(pod("b", "2", "another") + "," + pod("c", "9"), "10"));
    EXPECT_EQ(changes(), "-b +b +c -a ") << "b is another pod now";
    EXPECT_EQ(reflector_.status().lists, 2U);
    EXPECT_EQ(reflector_.status().objects, 2U);
    EXPECT_EQ(messages(), "") << "nothing that a user must know";
  }
}

TEST_F(ReflectorTest, AListWhoseTokenExpiredBeginsAnew) {
  ask();
  answer(200, list(pod("a", "1"), "5", "t"));
  ask();
  answer(410, failure(410, "The provided continue parameter is too old"));
  pass_wait();
  EXPECT_EQ(ask(), "/api/v1/pods?limit=200");
  answer(200, list(pod("b", "2"), "6"));
  EXPECT_EQ(changes(), "+a +b -a ");
}

TEST_F(ReflectorTest, DelaysDoubleFromATenthToThirtySecondsAndEndWithSuccess) {
  std::vector<std::int64_t> waits;
  for (int i = 0; i < 12; ++i) {
    ask();
    answer(500, failure(500, "etcd is away"));
    waits.push_back(wait_ms());
    pass_wait();
  }
  for (std::size_t i = 0; i < waits.size(); ++i) {
    const std::int64_t longest = std::min<std::int64_t>(30'000, 100LL << i);
    EXPECT_GE(waits[i], longest / 2 - 1) << i;
    EXPECT_LE(waits[i], longest) << i;
  }
  EXPECT_EQ(messages(), "pods: HTTP 500: etcd is away; tried again, the last known state is kept\n") << "once";
  EXPECT_EQ(reflector_.status().state, KindStatus::State::kRetrying);
  EXPECT_TRUE(reflector_.settled()) << "others no longer wait";
  list_two();
  EXPECT_EQ(messages(), "pods: followed now\n");
  ask();
  answer(500, "");
  EXPECT_LE(wait_ms(), 100);
}

TEST_F(ReflectorTest, AServerThatIsBackIsAskedSoonByThoseThatDidNotReachIt) {
  for (int i = 0; i < 9; ++i) {
    pass_wait();
    ask();
    reflector_.on_end(0, "connection refused", 0, now_, kWall);
  }
  EXPECT_GT(wait_ms(), 10'000);
  reflector_.server_is_back(now_);
  EXPECT_LE(wait_ms(), 1000);
  EXPECT_EQ(messages(), "") << "the client tells of a server that is away";
  pass_wait();
  ask();
  answer(500, "");
  const std::int64_t wait = wait_ms();
  reflector_.server_is_back(now_);
  EXPECT_EQ(wait_ms(), wait) << "an answer, and no reason to ask sooner";
}

TEST_F(ReflectorTest, TheServerMayAskForALongerWait) {
  ask();
  answer(429, "", "", 7);
  EXPECT_EQ(wait_ms(), 7000);
}

TEST_F(ReflectorTest, WhatWeMayNotSeeIsToldOnceAndTriedNowAndThen) {
  // The server may have just started, and not know yet what we may: it is asked again soon at first.
  for (std::int64_t most = 100; most < 60'000; most *= 2) {
    ask();
    answer(403, failure(403, "pods is forbidden"));
    EXPECT_GE(wait_ms(), most / 2);
    EXPECT_LE(wait_ms(), most);
    pass_wait();
  }
  for (int i = 0; i < 3; ++i) {
    ask();
    answer(403, failure(403, "pods is forbidden"));
    EXPECT_GE(wait_ms(), 60'000);
    EXPECT_LE(wait_ms(), 90'000);
    pass_wait();
  }
  EXPECT_EQ(reflector_.status().state, KindStatus::State::kForbidden);
  EXPECT_TRUE(reflector_.settled());
  EXPECT_EQ(messages(), "pods: no permission to list and watch; left out (HTTP 403: pods is forbidden)\n");
  list_two();
  EXPECT_EQ(messages(), "pods: followed now\n");
  ask();
  answer(403, failure(403, "pods is forbidden"));
  EXPECT_EQ(changes(), "") << "what was known stays";
  EXPECT_EQ(reflector_.status().objects, 2U);
}

TEST_F(ReflectorTest, AServerThatJustStartedMayRefuseForAMoment) {
  for (const int code : {403, 404}) {
    reflector_ = Reflector(options(), 1);
    list_two();
    std::int64_t waited_ms = 0;
    for (int i = 0; i < 6; ++i) {
      ask();
      answer(code, failure(code, "pods"));
      waited_ms += wait_ms();
      pass_wait();
    }
    EXPECT_LE(waited_ms, 6300);
    EXPECT_EQ(messages(), "") << code;
    ask();
    answer(code, failure(code, "pods"));
    EXPECT_NE(messages().find("left out"), std::string::npos) << code;
    pass_wait();
    ask();
    // What it has forgotten is listed again.
    answer(200, code == 403 ? event("ADDED", pod("c", "6")) : list(pod("a", "1") + "," + pod("c", "6"), "7"));
    EXPECT_EQ(changes(), code == 403 ? "+c " : "+a +c -b ") << code;
    EXPECT_EQ(messages(), "pods: followed again\n");
  }
}

TEST_F(ReflectorTest, AServerThatIsBackButNotReadyIsAskedAgainSoon) {
  list_two();
  for (int i = 0; i < 10; ++i) {
    ask();
    answer(0, "", "connection refused");
    pass_wait();
  }
  ask();
  answer(429, failure(429, "storage is (re)initializing"));
  EXPECT_LE(wait_ms(), 400);
  pass_wait();
  ask();
  answer(429, failure(429, "storage is (re)initializing"));
  EXPECT_GE(wait_ms(), 400) << "and less and less often";
}

TEST_F(ReflectorTest, AKindIsLookedForWhereItMayBe) {
  ReflectorOptions options = ReflectorTest::options();
  options.paths = {"/one", "/two"};
  reflector_ = Reflector(options, 1);
  EXPECT_EQ(ask(), "/one?limit=200");
  answer(404, "404 page not found");
  EXPECT_EQ(ask(), "/two?limit=200");
  answer(404, "404 page not found");
  EXPECT_EQ(ask(), "");
  EXPECT_EQ(reflector_.status().state, KindStatus::State::kAbsent);
  EXPECT_EQ(messages(), "pods: not served by this cluster; left out (HTTP 404)\n");
  pass_wait();
  EXPECT_EQ(ask(), "/one?limit=200");
  answer(404, "");
  ask();
  answer(403, failure(403, "forbidden"));
  EXPECT_EQ(reflector_.status().state, KindStatus::State::kAbsent) << "permission is asked before existence";
  pass_wait();
  EXPECT_EQ(ask(), "/one?limit=200");
  answer(404, "");
  ask();
  answer(200, list(pod("a", "1"), "5"));
  EXPECT_EQ(changes(), "+a ");
  EXPECT_EQ(ask().substr(0, 5), "/two?");
}

TEST_F(ReflectorTest, NobodyIsToldOfAnOptionalKindThatIsAbsent) {
  ReflectorOptions options = ReflectorTest::options();
  options.optional = true;
  reflector_ = Reflector(options, 1);
  ask();
  answer(404, "");
  EXPECT_EQ(reflector_.status().state, KindStatus::State::kAbsent);
  EXPECT_EQ(messages(), "");
  pass_wait();
  list_two();
  EXPECT_EQ(messages(), "pods: followed now\n");
}

TEST_F(ReflectorTest, WhatIsOddAboutAPolicyIsToldOnce) {
  ReflectorOptions options = ReflectorTest::options();
  options.kind = cluster::ObjectKind::kTier;
  options.name = "tiers";
  reflector_ = Reflector(options, 1);
  const std::string odd = R"({"metadata":{"name":"a"},"spec":{"ordre":1}})";
  ask();
  answer(200, list(odd, "5"));
  EXPECT_EQ(messages(), "tiers: Tier a: spec.ordre: is not known, and passed over\n");
  ask();
  answer(200, event("MODIFIED", odd));
  EXPECT_EQ(messages(), "");
  EXPECT_EQ(reflector_.status().objects, 1U);
}

TEST_F(ReflectorTest, AServerThatHangsUpIsNotAskedInALoop) {
  list_two();
  std::int64_t waited = 0;
  for (int i = 0; i < 6; ++i) {
    EXPECT_NE(ask(), "");
    answer(200, "");
    waited += wait_ms();
    pass_wait();
  }
  EXPECT_GT(waited, 3000);
  now_ += 1000 * kMs;
  ask();
  now_ += 5000 * kMs;  // a quiet watch whose time was over
  reflector_.on_end(200, {}, 0, now_, kWall);
  EXPECT_LE(wait_ms(), 0);
}

TEST_F(ReflectorTest, NonsenseIsPassedOverAndWhatItHidIsListed) {
  list_two();
  ask();
  data("<html>\n{}\n" + event("BOOM", "{}") + event("ADDED", pod("c", "6")));
  EXPECT_EQ(changes(), "+c* ");
  EXPECT_EQ(reflector_.status().refused, 3U);
  EXPECT_EQ(messages().find("pods: left out: document 1: "), 0U) << "once";
  reflector_.on_end(200, {}, 0, now_, kWall);
  EXPECT_EQ(ask(), "/api/v1/pods?limit=200");
  answer(200, list(pod("b", "2") + "," + pod("c", "6"), "9"));
  EXPECT_EQ(changes(), "+b +c -a ");
  EXPECT_NE(ask().find("watch=1"), std::string::npos);
}

TEST_F(ReflectorTest, AnErrorInTheWatchIsTriedAgainAndKeepsWhatIsKnown) {
  list_two();
  for (int i = 0; i < 4; ++i) {
    pass_wait();
    ask();
    answer(200, event("ERROR", failure(500, "overload")));
    EXPECT_GT(wait_ms(), 0);
  }
  EXPECT_EQ(changes(), "");
  EXPECT_EQ(reflector_.status().objects, 2U);
  EXPECT_EQ(messages(), "pods: watch: overload; tried again, the last known state is kept\n");
}

TEST_F(ReflectorTest, AnObjectThatCannotBeReadIsLeftOut) {
  ask();
  answer(200, list(pod("a", "1") + R"(,{"metadata":{}})", "5"));
  EXPECT_EQ(changes(), "+a ");
  EXPECT_EQ(reflector_.status().refused, 1U);
  EXPECT_TRUE(reflector_.status().synced);
  EXPECT_EQ(reflector_.status().last_error, "Pod : metadata.name: is missing");
}

TEST_F(ReflectorTest, AnEventWithoutEndIsPassedOver) {
  list_two();
  ask();
  const std::string part(1 << 20, 'x');
  for (std::size_t sent = 0; sent <= Reflector::kMaxEventBytes; sent += part.size()) data(part);
  data("still it\n" + event("ADDED", pod("c", "6")));
  EXPECT_EQ(changes(), "+c* ");
  EXPECT_EQ(reflector_.status().refused, 1U);
}

TEST_F(ReflectorTest, MetadataAloneIsAskedForByItsMediaType) {
  ReflectorOptions options = ReflectorTest::options();
  options.kind = cluster::ObjectKind::kJob;
  options.metadata_only = true;
  options.field_selector = "a%3Db";
  Reflector jobs(options, 1);
  const auto listing = jobs.next(now_);
  EXPECT_EQ(listing->target, "/api/v1/pods?limit=200&fieldSelector=a%3Db");
  EXPECT_EQ(listing->accept.substr(0, 47), "application/json;as=PartialObjectMetadataList;g");
}

}  // namespace
}  // namespace weir::kube
