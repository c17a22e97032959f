#pragma once

#include <gtest/gtest.h>

#include <string>
#include <utility>
#include <vector>

#include "model/connection.h"
#include "policy/engine.h"
#include "policy/policy_oracle.h"
#include "policy/policy_test_world.h"

/// The engine against the slow evaluator. For test targets only.
namespace weir::policy {

inline std::string describe(const Query& query) {
  const auto end = [](const model::Endpoint* pod, const IpAddress& ip) {
    return (pod != nullptr ? pod->namespace_name + "/" + pod->name + " " : "") + ip.to_string();
  };
  return end(query.source, query.source_ip) + " -> " + end(query.dest, query.dest_ip) + " protocol " +
         std::to_string(query.protocol) + " port " + std::to_string(query.dest_port);
}

inline bool agree(const SideVerdict& got, const Oracle::Side& want) {
  if (got.managed != want.managed || got.action != want.action) return false;
  if (!got.managed) return got.enforced == nullptr && got.pending == nullptr;
  return got.enforced->entries == want.trace && got.enforced->verdict == want.action &&
         got.pending->entries == want.pending && got.pending->verdict == want.pending_action;
}

inline std::string joined(const std::vector<std::string>& entries) {
  std::string text;
  for (const std::string& entry : entries) text += entry + " ";
  return text;
}
inline std::string text(const SideVerdict& side) {
  if (!side.managed) return std::string(model::to_string(side.action)) + " unmanaged";
  return joined(side.enforced->entries) + "pending " + joined(side.pending->entries);
}
inline std::string text(const Oracle::Side& side) {
  return side.managed ? joined(side.trace) + "pending " + joined(side.pending) : "allow unmanaged";
}

/// All pairs of pods (by each address) and external addresses, some protocols and ports.
class Questions {
 public:
  Questions(World& world, const std::vector<std::string>& externals) {
    for (const model::Endpoint& pod : world.pods()) {
      for (const IpAddress& ip : pod.ips) ends_.push_back({&pod, ip});
    }
    for (const std::string& ip : externals) ends_.push_back({nullptr, IpAddress::parse(ip).value()});
  }

  template <typename Visit>
  void for_each(const std::vector<std::pair<std::uint8_t, std::uint16_t>>& services, Visit visit) const {
    for (const auto& [source, source_ip] : ends_) {
      for (const auto& [dest, dest_ip] : ends_) {
        if (source_ip.is_v4() != dest_ip.is_v4()) continue;
        for (const auto& [protocol, port] : services)
          visit(Query{source, dest, source_ip, dest_ip, protocol, 40'000, port});
      }
    }
  }

 private:
  std::vector<std::pair<const model::Endpoint*, IpAddress>> ends_;
};

inline const std::vector<std::pair<std::uint8_t, std::uint16_t>> kServices = {
    {model::kProtoTcp, 80},
    {model::kProtoTcp, 81},
    {model::kProtoTcp, 8080},
    {model::kProtoTcp, 0},
    {model::kProtoTcp, 65535},
    {model::kProtoUdp, 80},
    {model::kProtoUdp, 53},
    {model::kProtoSctp, 80},
    {model::kProtoIcmp, 8 << 8},
    {model::kProtoIcmp6, 128 << 8},
    {47, 0},
};

/// Asks everything twice, so that the second answers come from the cache.
inline void expect_agreement(World& world, const Questions& questions, const EngineOptions& options) {
  auto created = Engine::create(options, world.inputs());
  ASSERT_TRUE(created.ok()) << created.error().message;
  Engine& engine = *created.value();
  const Oracle oracle(options, world.inputs());
  int disagreements = 0;
  for (int round = 0; round < 2; ++round) {
    questions.for_each(kServices, [&](const Query& query) {
      const Verdict got = engine.evaluate(query);
      const Oracle::Answer want = oracle.evaluate(query);
      if (agree(got.egress, want.egress) && agree(got.ingress, want.ingress)) return;
      if (++disagreements > 5) return;
      ADD_FAILURE() << describe(query) << "\n  got  " << text(got.egress) << "  " << text(got.ingress) << "\n  want "
                    << text(want.egress) << "  " << text(want.ingress);
    });
  }
}

}  // namespace weir::policy
