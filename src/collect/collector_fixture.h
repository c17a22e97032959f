#pragma once

#include <gtest/gtest.h>

#include <memory>
#include <string>
#include <vector>

#include "cluster/manifest_reader.h"
#include "collect/collector.h"

namespace weir::collect {

inline constexpr std::int64_t kSecond = 1'000'000'000;
inline constexpr std::int64_t kStart = 1'700'000'000 * kSecond;

inline constexpr const char* kManifests = R"(
apiVersion: v1
kind: Namespace
metadata: {name: shop}
---
apiVersion: v1
kind: Pod
metadata: {name: web-1, namespace: shop, generateName: web-, labels: {app: web}}
spec: {nodeName: node-1, containers: [{name: c}]}
status: {phase: Running, podIP: 10.0.0.1}
---
apiVersion: v1
kind: Pod
metadata: {name: db-1, namespace: shop, generateName: db-, labels: {app: db}}
spec: {nodeName: node-2, containers: [{name: c}]}
status: {phase: Running, podIP: 10.0.0.2}
---
apiVersion: v1
kind: Pod
metadata: {name: old-1, namespace: shop, creationTimestamp: "2020-01-01T00:00:00Z"}
spec: {containers: [{name: c}]}
status: {phase: Running, podIP: 10.0.0.9, startTime: "2020-01-01T00:00:00Z"}
---
apiVersion: v1
kind: Pod
metadata: {name: new-1, namespace: shop, creationTimestamp: "2023-11-14T22:13:30Z"}
spec: {containers: [{name: c}]}
status: {phase: Running, podIP: 10.0.0.9, startTime: "2023-11-14T22:13:30Z"}
---
apiVersion: v1
kind: Service
metadata: {name: db, namespace: shop}
spec: {clusterIP: 10.96.0.1, ports: [{name: sql, port: 5432, targetPort: 5432}]}
---
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: {name: db, namespace: shop}
spec:
  podSelector: {matchLabels: {app: db}}
  policyTypes: [Ingress, Egress]
  ingress: [{from: [{podSelector: {matchLabels: {app: web}}}], ports: [{port: 5432}]}]
)";

/// A ledger, an engine and a collector over kManifests.
class CollectorTest : public ::testing::Test {
 protected:
  void start(const std::string& node = "", bool cluster_known = true, std::chrono::nanoseconds delay = {}) {
    cluster::ClusterObjects objects;
    cluster::ManifestNotes notes;
    if (cluster_known) {
      const Status status = cluster::read_manifest_text("test.yaml", kManifests, false, objects, notes);
      ASSERT_TRUE(status.ok()) << status.error().message;
    }
    cluster::LedgerOptions options;
    options.node = node;
    ledger_ = std::make_unique<cluster::Ledger>(std::move(objects), options);
    engine_ = make_engine(inputs_of_ledger());
    CollectorOptions collector_options;
    collector_options.cluster_known = cluster_known;
    collector_options.initial_delay = delay;
    collector_ =
        std::make_unique<Collector>(collector_options, *ledger_, cluster_known ? engine_.get() : nullptr, traces_);
  }

  policy::EngineInputs inputs_of_ledger() const {
    policy::EngineInputs inputs;
    inputs.pods.assign(ledger_->pods().begin(), ledger_->pods().end());
    inputs.policies = ledger_->policy_set();
    return inputs;
  }
  /// With traces that outlive it, as those of a node do.
  std::unique_ptr<policy::Engine> make_engine(const policy::EngineInputs& inputs) {
    policy::EngineOptions options;
    options.trace_store = &traces_;
    return policy::Engine::create(options, inputs).value();
  }

  static model::ConnectionUpdate update(const char* source, const char* dest, std::uint16_t port) {
    model::ConnectionUpdate update;
    update.tuple = {IpAddress::parse(source).value(), IpAddress::parse(dest).value(), 40000, port, model::kProtoTcp};
    update.original_dest = update.tuple.dest;
    update.original_dest_port = port;
    update.first = true;
    update.start_ns = update.newest_ns = kStart;
    update.delta = {.packets_forward = 3, .packets_reverse = 2, .bytes_forward = 300, .bytes_reverse = 200};
    return update;
  }

  std::vector<model::ReportedFlow> add(const model::ConnectionUpdate& update) {
    collector_->clear_reports();
    collector_->add(update);
    return {collector_->reports().begin(), collector_->reports().end()};
  }

  std::unique_ptr<cluster::Ledger> ledger_;
  policy::TraceStore traces_;
  std::unique_ptr<policy::Engine> engine_;
  std::unique_ptr<Collector> collector_;
};

}  // namespace weir::collect
