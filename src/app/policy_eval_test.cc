#include "app/policy_eval.h"

#include <gtest/gtest.h>

#include <string>

#include "cluster/manifest_reader.h"

namespace weir::app {
namespace {

constexpr const char* kManifests = R"(
apiVersion: v1
kind: Pod
metadata: {name: web, namespace: shop, labels: {app: web}}
status: {podIP: 10.0.0.1}
---
apiVersion: v1
kind: Pod
metadata: {name: db, namespace: shop}
status: {podIP: 10.0.0.2, podIPs: [{ip: 10.0.0.2}, {ip: "fd00::2"}]}
---
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: {name: web, namespace: shop}
spec:
  podSelector: {matchLabels: {app: web}}
  ingress: [{from: [{ipBlock: {cidr: 203.0.113.0/24}}], ports: [{port: 80}]}]
)";

class PolicyEvalTest : public ::testing::Test {
 protected:
  std::string ask(std::string_view query, bool want_verdict = true) {
    if (!eval_) {
      cluster::ClusterObjects objects;
      cluster::ManifestNotes notes;
      EXPECT_TRUE(cluster::read_manifest_text("test", kManifests, false, objects, notes).ok());
      eval_ = std::make_unique<PolicyEval>(PolicyEval::create(std::move(objects), {}).value());
    }
    std::string out;
    EXPECT_EQ(eval_->answer(query, 7, out), want_verdict) << query;
    return out;
  }

  std::unique_ptr<PolicyEval> eval_;
};

TEST_F(PolicyEvalTest, AnswersWithTheQueryAndBothEnds) {
  EXPECT_EQ(ask(R"({"src":"shop/db", "dst":"shop/web","protocol":"TCP","port":80})"),
            R"({"src":"shop/db","dst":"shop/web","protocol":"TCP","port":80,"allowed":false,)"
            R"("egress":{"action":"allow","enforced_policies":["0|__PROFILE__|__PROFILE__.kns.shop|allow|0"],)"
            R"("pending_policies":["0|__PROFILE__|__PROFILE__.kns.shop|allow|0"]},)"
            R"("ingress":{"action":"deny","enforced_policies":["0|default|shop/knp.default.web|deny|-1"],)"
            R"("pending_policies":["0|default|shop/knp.default.web|deny|-1"]}})"
            "\n");
}

TEST_F(PolicyEvalTest, AnAddressIsNoManagedEndEvenIfAPodOwnsIt) {
  EXPECT_EQ(
      ask(R"({"src":"10.0.0.2","dst":"10.0.0.1","protocol":"TCP","port":80})"),
      R"({"src":"10.0.0.2","dst":"10.0.0.1","protocol":"TCP","port":80,"allowed":true,"egress":null,"ingress":null})"
      "\n");
}

TEST_F(PolicyEvalTest, CarriesOtherMembersAndReplacesThoseItSets) {
  EXPECT_EQ(
      ask(R"({"id":[1,"é"],"src":"10.0.0.2","dst":"10.0.0.1","protocol":"icmp","port":null,"allowed":7,"icmpType":8})"),
      R"({"id":[1,"é"],"src":"10.0.0.2","dst":"10.0.0.1","protocol":"icmp","port":null,"icmpType":8,)"
      R"("allowed":true,"egress":null,"ingress":null})"
      "\n");
}

TEST_F(PolicyEvalTest, AnUnknownPodIsAnErrorInItsPlace) {
  EXPECT_EQ(
      ask(R"({"src":"shop/none","dst":"shop/web","protocol":"TCP","port":80})", false),
      R"({"src":"shop/none","dst":"shop/web","protocol":"TCP","port":80,"error":"no pod shop/none in the manifests"})"
      "\n");
}

TEST_F(PolicyEvalTest, ErrorsNameTheLine) {
  const struct {
    const char* query;
    const char* want;
  } cases[] = {
      {"", "line 7: not a JSON object: "},
      {"[]", "line 7: not a JSON object: "},
      {"{\"src\":", "line 7: not a JSON object: "},
      {"{} {}", "line 7: not a JSON object: "},
      {"{}", R"(line 7: \"src\" is missing or no string)"},
      {R"({"src":"a","dst":"b"})", "line 7: \\\"src\\\": 'a' is neither namespace/pod nor an address"},
      {R"({"src":"::1","dst":"::2"})", R"(line 7: \"protocol\" is missing or no string)"},
      {R"({"src":"::1","dst":"::2","protocol":"TPC","port":1})", R"(line 7: \"protocol\": 'TPC' is not known)"},
      {R"({"src":"::1","dst":"::2","protocol":"TCP"})", R"(line 7: \"port\" is missing)"},
      {R"({"src":"::1","dst":"::2","protocol":"TCP","port":65536})",
       R"(line 7: \"port\" is not a number from 0 to 65535)"},
      {R"({"src":"::1","dst":"::2","protocol":"ICMP","icmpType":256})",
       R"(line 7: \"icmpType\" is not a number from 0 to 255)"},
  };
  for (const auto& one : cases) {
    SCOPED_TRACE(one.query);
    const std::string got = ask(one.query, false);
    EXPECT_NE(got.find(one.want), std::string::npos) << got;
    EXPECT_EQ(got.back(), '\n');
    EXPECT_EQ(got.find('\n'), got.size() - 1);
  }
}

TEST_F(PolicyEvalTest, PodsUseTheFamilyOfTheOtherEnd) {
  const std::string v6 = ask(R"({"src":"2001:db8::1","dst":"shop/db","protocol":"TCP","port":80})");
  EXPECT_NE(v6.find(R"("allowed":true)"), std::string::npos);
  const std::string v4 = ask(R"({"src":"203.0.113.9","dst":"shop/web","protocol":"TCP","port":80})");
  EXPECT_NE(v4.find(R"(0|default|shop/knp.default.web|allow|0)"), std::string::npos);
}

TEST(PolicyEvalExplained, DenialsNameTheNearestMissAndDoubtsTheirReason) {
  cluster::ClusterObjects objects;
  cluster::ManifestNotes notes;
  const std::string manifests = std::string(kManifests) + R"(
---
apiVersion: projectcalico.org/v3
kind: NetworkPolicy
metadata: {name: out, namespace: shop}
spec:
  selector: app == 'web'
  types: [Egress]
  egress:
  - {action: Allow, protocol: TCP, http: {methods: [GET]}, destination: {nets: [198.51.100.0/24]}}
)";
  ASSERT_TRUE(cluster::read_manifest_text("test", manifests, false, objects, notes).ok());
  PolicyEval eval = PolicyEval::create(std::move(objects), {}, true).value();
  const auto ask = [&](std::string_view query) {
    std::string out;
    EXPECT_TRUE(eval.answer(query, 1, out)) << out;
    return out;
  };
  EXPECT_NE(ask(R"({"src":"203.0.113.1","dst":"shop/web","protocol":"TCP","port":81})")
                .find(R"("nearest_miss":{"tier":"default","policy":"shop/knp.default.web","rule":0,"term":"ports",)"
                      R"("wanted":"TCP 80","other_terms":0})"),
            std::string::npos);
  const std::string tuple = R"({"src":"shop/web","dst":"198.51.100.7","protocol":"TCP","port":80)";
  EXPECT_NE(ask(tuple + "}").find(R"("uncertain":["http"])"), std::string::npos);
  const std::string get = ask(tuple + R"(,"httpMethod":"GET","httpPath":"/"})");
  EXPECT_NE(get.find(R"("allowed":true)"), std::string::npos);
  EXPECT_EQ(get.find("uncertain"), std::string::npos);
  EXPECT_NE(ask(tuple + R"(,"httpMethod":"PUT","httpPath":"/"})").find(R"("term":"http")"), std::string::npos);
  std::string out;
  EXPECT_FALSE(eval.answer(tuple + R"(,"httpMethod":"PUT"})", 3, out));
  EXPECT_FALSE(eval.answer(tuple + R"(,"dstNames":"x"})", 3, out));
}

}  // namespace
}  // namespace weir::app
