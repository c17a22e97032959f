#include "cluster/watch_event.h"

#include <gtest/gtest.h>

namespace weir::cluster {
namespace {

WatchEvent event(ObjectKind kind, const std::string& json) {
  auto read = read_watch_event(kind, json);
  EXPECT_TRUE(read.ok()) << read.error().message;
  return read.ok() ? std::move(read).value() : WatchEvent{};
}

TEST(WatchEvents, OfEachType) {
  struct Case {
    const char* type;
    WatchEvent::Type want;
  };
  for (const Case& c : {Case{"ADDED", WatchEvent::Type::kPut}, Case{"MODIFIED", WatchEvent::Type::kPut},
                        Case{"DELETED", WatchEvent::Type::kDelete}}) {
    SCOPED_TRACE(c.type);
    const WatchEvent read = event(
        ObjectKind::kPod, std::string(R"({"type":")") + c.type +
                              R"(","object":{"kind":"Pod","apiVersion":"v1","metadata":{"name":"a","namespace":"shop",)"
                              R"("uid":"u","resourceVersion":"7"},"status":{"podIP":"10.0.0.1"}}})");
    EXPECT_EQ(read.type, c.want);
    EXPECT_EQ(read.resource_version, "7");
    ASSERT_TRUE(read.object);
    EXPECT_EQ(object_key(*read.object, true), "Pod/shop/a/u");
    EXPECT_EQ(std::get<Pod>(*read.object).ips.size(), 1U);
  }
  const WatchEvent bookmark = event(
      ObjectKind::kPod,
      R"({"type":"BOOKMARK","object":{"kind":"Pod","metadata":{"resourceVersion":"12746","creationTimestamp":null}}})");
  EXPECT_EQ(bookmark.type, WatchEvent::Type::kBookmark);
  EXPECT_EQ(bookmark.resource_version, "12746");
  EXPECT_FALSE(bookmark.object);
  const WatchEvent error = event(
      ObjectKind::kPod,
      R"({"type":"ERROR","object":{"kind":"Status","status":"Failure","message":"too old","reason":"Expired","code":410}})");
  EXPECT_EQ(error.type, WatchEvent::Type::kError);
  EXPECT_EQ(error.failure.code, 410);
  EXPECT_EQ(error.failure.message, "too old");
}

TEST(WatchEvents, ReadWorkloadsFromTheirMetadataAlone) {
  const WatchEvent read = event(
      ObjectKind::kReplicaSet,
      R"({"type":"ADDED","object":{"kind":"PartialObjectMetadata","apiVersion":"meta.k8s.io/v1","metadata":{"name":"web-5d9",)"
      R"("namespace":"shop","resourceVersion":"3","ownerReferences":[{"apiVersion":"apps/v1","kind":"Deployment","name":"web","uid":"x","controller":true}]}}})");
  ASSERT_TRUE(read.object);
  const Workload& workload = std::get<Workload>(*read.object);
  EXPECT_EQ(workload.kind, "ReplicaSet");
  ASSERT_TRUE(workload.meta.controller);
  EXPECT_EQ(workload.meta.controller->name, "web");
}

TEST(WatchEvents, AnOddObjectIsRefusedByNameAndTheWatchGoesOn) {
  const WatchEvent read = event(
      ObjectKind::kPod, R"({"type":"ADDED","object":{"metadata":{"name":"a","namespace":"shop","resourceVersion":"8"},)"
                        R"("status":{"podIP":"nowhere"}}})");
  EXPECT_FALSE(read.object);
  EXPECT_EQ(read.refused, "Pod shop/a: status.podIP: 'nowhere' is not an IP address");
  EXPECT_EQ(read.resource_version, "8");
}

TEST(WatchEvents, PoliciesAreReadAndRemarkedOn) {
  auto read =
      read_watch_event(ObjectKind::kCalicoNetworkPolicy,
                       R"({"type":"ADDED","object":{"metadata":{"name":"a","namespace":"shop","resourceVersion":"8"},)"
                       R"("spec":{"selector":"app == 'web'","order":2.5,"typo":1}}})");
  ASSERT_TRUE(read.ok() && read.value().object);
  const auto& object = std::get<PolicyObject>(*read.value().object);
  EXPECT_EQ(object.kind, ObjectKind::kCalicoNetworkPolicy);
  EXPECT_EQ(std::get<model::CalicoPolicy>(object.spec).order, 2.5);
  ASSERT_EQ(read.value().remarks.size(), 1U);
  EXPECT_EQ(read.value().remarks[0], "NetworkPolicy shop/a: spec.typo: is not known, and passed over");
}

TEST(WatchEvents, WhatIsNoEventFails) {
  for (const char* json :
       {"", "{", "[]", "{}", R"({"type":"ADDED"})", R"({"type":"BOOM","object":{}})", R"({"type":"ADDED","object":[]})",
        R"({"type":"ADDED","object":{"metadata":{"resourceVersion":{}}}})"}) {
    EXPECT_FALSE(read_watch_event(ObjectKind::kPod, json).ok()) << json;
  }
}

TEST(ObjectPages, GiveObjectsAndWhereToGoOn) {
  auto read = read_object_page(
      ObjectKind::kNamespace,
      R"({"kind":"NamespaceList","apiVersion":"v1","metadata":{"resourceVersion":"55","continue":"abc"},"items":[)"
      R"({"metadata":{"name":"shop"}},{"metadata":{}},{"metadata":{"name":"x"}}]})");
  ASSERT_TRUE(read.ok()) << read.error().message;
  EXPECT_EQ(read.value().resource_version, "55");
  EXPECT_EQ(read.value().continue_token, "abc");
  EXPECT_EQ(read.value().objects.size(), 2U);
  ASSERT_EQ(read.value().refused.size(), 1U);
  EXPECT_EQ(read.value().refused[0], "Namespace : metadata.name: is missing");
  auto empty = read_object_page(ObjectKind::kPod, R"({"metadata":{"resourceVersion":"1"},"items":null})");
  ASSERT_TRUE(empty.ok());
  EXPECT_TRUE(empty.value().objects.empty());
  for (const char* json : {"", "{}", "[1]", R"({"metadata":{"resourceVersion":"1"},"items":{}})", R"({"items":[]})"}) {
    EXPECT_FALSE(read_object_page(ObjectKind::kPod, json).ok()) << json;
  }
}

TEST(ApiFailures, AreReadFromStatusObjectsOnly) {
  const auto failure = read_api_failure(
      R"({"kind":"Status","apiVersion":"v1","metadata":{},"status":"Failure","message":"pods is forbidden","reason":"Forbidden","code":403})");
  ASSERT_TRUE(failure);
  EXPECT_EQ(failure->code, 403);
  EXPECT_EQ(failure->message, "pods is forbidden");
  EXPECT_FALSE(read_api_failure("404 page not found"));
  EXPECT_FALSE(read_api_failure(R"({"kind":"Pod"})"));
}

}  // namespace
}  // namespace weir::cluster
