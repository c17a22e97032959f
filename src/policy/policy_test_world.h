#pragma once

#include <deque>
#include <random>
#include <string>
#include <utility>
#include <vector>

#include "model/endpoint.h"
#include "policy/engine.h"

/// Hand-made clusters for tests and benchmarks of this module.
namespace weir::policy {

/// Owns what EngineInputs and Query point at.
class World {
 public:
  void add_namespace(const std::string& name, std::vector<std::string> labels = {}) {
    labels.push_back("kubernetes.io/metadata.name=" + name);
    std::sort(labels.begin(), labels.end());
    inputs.namespaces.push_back({name, {std::move(labels)}});
  }

  /// `labels`: "key=value", in any order. `ips`: texts.
  model::Endpoint* add_pod(const std::string& namespace_name, const std::string& name, std::vector<std::string> labels,
                           const std::vector<std::string>& ips) {
    std::sort(labels.begin(), labels.end());
    labels_.push_back({std::move(labels)});
    model::Endpoint& pod = pods_.emplace_back();
    pod.type = model::EndpointType::kWorkload;
    pod.namespace_name = namespace_name;
    pod.name = name;
    pod.group = &group_;
    pod.labels = &labels_.back();
    for (const std::string& ip : ips) pod.ips.push_back(IpAddress::parse(ip).value());
    pod.pod_index = static_cast<std::int32_t>(pods_.size()) - 1;
    inputs.pods.push_back(&pod);
    return &pod;
  }

  std::deque<model::Endpoint>& pods() { return pods_; }

  EngineInputs inputs;

 private:
  model::EndpointGroup group_;
  std::deque<model::LabelSet> labels_;
  std::deque<model::Endpoint> pods_;
};

/// Seeded choices.
class Dice {
 public:
  explicit Dice(std::uint64_t seed) : engine_(seed) {}
  /// 0 to `sides` - 1.
  std::size_t roll(std::size_t sides) { return std::uniform_int_distribution<std::size_t>(0, sides - 1)(engine_); }
  bool one_in(std::size_t sides) { return roll(sides) == 0; }
  template <typename T>
  const T& pick(const std::vector<T>& from) {
    return from[roll(from.size())];
  }

 private:
  std::mt19937_64 engine_;
};

}  // namespace weir::policy
