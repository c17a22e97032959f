// Evaluates the compiled form.
//
// Peers and ports are first mapped to classes: identity of each pod, address class of each address, traffic class. The
// rules of a program then cost a few bit tests each. Everything a verdict depends on is in the classes, so they are the
// key of the verdict cache, which is two-way set-associative with the newer entry first.

#include "policy/engine.h"

#include <absl/container/flat_hash_map.h>

#include <algorithm>
#include <array>
#include <bit>

#include "base/hash.h"
#include "policy/internal/compiler.h"
#include "policy/internal/domains.h"
#include "policy/internal/evaluation.h"
#include "policy/internal/explain.h"

namespace weir::policy {
namespace {

/// Interns traces as a tree (a trace is its parent and one more hit), and what a side may answer. Trace 0 is empty,
/// outcome 0 that of an end that is not managed.
class Outcomes {
 public:
  explicit Outcomes(TraceStore& store) : store_(store) { reset(); }

  /// Hits have other numbers from now on. Outcomes given out stay.
  void reset() {
    traces_.assign(1, nullptr);
    children_.clear();
    outcomes_.assign(1, {});
    numbers_.clear();
  }

  std::uint32_t extend(std::uint32_t parent, std::uint32_t hit, const std::vector<Hit>& hits) {
    const auto next = static_cast<std::uint32_t>(traces_.size());
    const auto [known, added] = children_.try_emplace(std::uint64_t{parent} << 32 | hit, next);
    if (added) {
      model::PolicyTrace trace;
      if (parent != 0) trace = *traces_[parent];
      trace.entries.push_back(std::to_string(trace.entries.size()) + "|" + hits[hit].text);
      trace.verdict = hits[hit].action;
      traces_.push_back(store_.intern(std::move(trace)));
    }
    return known->second;
  }

  std::uint32_t outcome(std::uint32_t enforced, std::uint32_t pending, std::uint8_t uncertainty) {
    const auto next = static_cast<std::uint32_t>(outcomes_.size());
    const auto [known, added] = numbers_.try_emplace({std::uint64_t{enforced} << 32 | pending, uncertainty}, next);
    if (added) {
      outcomes_.push_back({true, traces_[enforced]->verdict, uncertainty, traces_[enforced], traces_[pending]});
    }
    return known->second;
  }
  /// Of a host endpoint, where a scope may decide nothing (trace 0).
  SideVerdict host_side(std::uint32_t enforced, std::uint32_t pending, std::uint8_t uncertainty) const {
    const bool denied = enforced != 0 && traces_[enforced]->verdict == model::Action::kDeny;
    return {true, denied ? model::Action::kDeny : model::Action::kAllow, uncertainty, traces_[enforced],
            traces_[pending]};
  }
  const SideVerdict& side(std::uint32_t outcome) const { return outcomes_[outcome]; }
  std::size_t traces() const { return traces_.size() - 1; }

 private:
  TraceStore& store_;
  std::vector<const model::PolicyTrace*> traces_;
  absl::flat_hash_map<std::uint64_t, std::uint32_t> children_;
  std::vector<SideVerdict> outcomes_;
  absl::flat_hash_map<std::pair<std::uint64_t, std::uint8_t>, std::uint32_t> numbers_;
};

/// An entry of two unmanaged ends is an empty one.
struct CacheKey {
  End source, dest;
  std::uint32_t traffic_class = 0;
  /// Classes of the source port and of the destination's names, 16 bits each.
  std::uint32_t rare = 0;

  friend bool operator==(const CacheKey&, const CacheKey&) = default;
  std::uint64_t hash() const {
    const std::uint64_t ends = mix64(std::uint64_t{source.identity} << 32 | dest.identity,
                                     std::uint64_t{source.address_class} << 32 | dest.address_class);
    return mix64(ends, std::uint64_t{rare} << 32 | traffic_class);
  }
};

struct CacheEntry {
  CacheKey key;
  std::uint32_t egress = 0, ingress = 0;
};

/// One cache line: the newer entry first.
struct alignas(64) CacheSet {
  CacheEntry entries[2];
};
static_assert(sizeof(CacheSet) == 64);

constexpr std::uint32_t kMaxNameClasses = 65'535, kMaxSourceClasses = 65'535;

/// Ports that host endpoints always let through. Source: Calico's FailsafeInboundHostPorts and -OutboundHostPorts.
bool is_failsafe(bool egress, std::uint8_t protocol, std::uint16_t port) {
  constexpr std::array<std::uint16_t, 7> kBoth = {179, 2379, 2380, 5473, 6443, 6666, 6667};
  if (protocol == model::kProtoUdp) return egress ? port == 53 || port == 67 : port == 68;
  if (protocol != model::kProtoTcp) return false;
  return (!egress && port == 22) || std::find(kBoth.begin(), kBoth.end(), port) != kBoth.end();
}

}  // namespace

struct Engine::Impl {
  explicit Impl(const EngineOptions& engine_options)
      : options(engine_options),
        compiler(engine_options),
        code(compiler.code()),
        own_store(options.trace_store != nullptr ? nullptr : std::make_unique<TraceStore>()),
        outcomes(options.trace_store != nullptr ? *options.trace_store : *own_store) {
    if (options.cache_entries > 0) cache.resize(std::bit_ceil((options.cache_entries + 1) / 2));
  }

  Status update(const EngineInputs& inputs);
  /// And what was cached with them.
  void forget_names() {
    for (CacheSet& set : cache) set = {};
    name_classes.clear();
    name_columns.assign(1, {});
  }
  End locate(const model::Endpoint* endpoint, const IpAddress& ip) const;
  bool between_node_and_pod(const Query& query, const End& source, const End& dest) const;
  std::uint32_t name_class(const Query& query);
  Facts facts_of(const Query& query, const CacheKey& key) const;
  std::uint32_t run(const Span& tiers, const TierCode* profiles, const Facts& facts, Direction direction,
                    std::uint8_t& uncertainty);
  std::uint32_t decide(Direction direction, const Facts& facts);
  CacheEntry compute(const CacheKey& key, const Query& query) {
    const Facts facts = facts_of(query, key);
    return {key, decide(Direction::kEgress, facts), decide(Direction::kIngress, facts)};
  }
  bool make_key(const Query& query, CacheKey& key, bool& cachable);

  EngineOptions options;
  Compiler compiler;
  const Compiled& code;
  std::unique_ptr<TraceStore> own_store;
  Outcomes outcomes;
  std::uint64_t anew = 0;
  std::vector<CacheSet> cache;
  std::uint64_t hits = 0, misses = 0;
  /// By address: the node that has it.
  absl::flat_hash_map<IpAddress, std::string> nodes;
  /// Sets of DomainPatterns that destinations were seen to have: their numbers, and their columns as bits. Class 0:
  /// none.
  absl::flat_hash_map<std::vector<std::uint32_t>, std::uint32_t> name_classes;
  std::vector<std::vector<std::uint64_t>> name_columns;
};

Status Engine::Impl::update(const EngineInputs& inputs) {
  forget_names();
  nodes.clear();
  for (const auto& node : inputs.policies.nodes) {
    for (const IpAddress& ip : node->addresses) nodes[ip] = node->name;
  }
  const Status status = compiler.refresh(inputs);
  if (compiler.compiled_anew() != anew) outcomes.reset();
  anew = compiler.compiled_anew();
  return status;
}

End Engine::Impl::locate(const model::Endpoint* endpoint, const IpAddress& ip) const {
  End end;
  // Other types than pods have no pod index, so that one cache line of the endpoint is enough.
  if (endpoint != nullptr && endpoint->pod_index >= 0) {
    const auto index = static_cast<std::size_t>(endpoint->pod_index);
    if (index < code.pods.size() && code.pods[index].endpoint == endpoint) end.identity = code.pods[index].identity;
  }
  end.address_class = code.address_classes.classify(ip);
  if (end.identity != kNoPod) end.address_class += code.address_classes.size();
  return end;
}

/// Traffic that the node_traffic option exempts.
bool Engine::Impl::between_node_and_pod(const Query& query, const End& source, const End& dest) const {
  if ((source.identity == kNoPod) == (dest.identity == kNoPod)) return false;
  const bool to_pod = source.identity == kNoPod;
  const auto node = nodes.find(to_pod ? query.source_ip : query.dest_ip);
  if (node == nodes.end()) return false;
  return options.node_traffic == NodeTraffic::kAllowAll || node->second == (to_pod ? query.dest : query.source)->node;
}

std::uint32_t Engine::Impl::name_class(const Query& query) {
  if (code.domains.empty() || query.dest_names.empty()) return 0;
  std::vector<std::uint32_t> held;
  for (std::uint32_t i = 0; i < code.domains.size(); ++i) {
    const auto matches = [&](std::string_view name) { return domain_matches(code.domains[i].text, name); };
    if (std::any_of(query.dest_names.begin(), query.dest_names.end(), matches)) held.push_back(i);
  }
  // Nobody has that many kinds of names.
  if (name_columns.size() >= kMaxNameClasses) forget_names();
  const auto next = static_cast<std::uint32_t>(name_columns.size());
  const auto [known, added] = name_classes.try_emplace(held, next);
  if (added) {
    std::vector<std::uint64_t>& columns = name_columns.emplace_back(code.peer_columns / 64 + 1);
    for (const std::uint32_t pattern : held) {
      for (const std::uint32_t column : code.domains[pattern].columns) {
        columns[column / 64] |= std::uint64_t{1} << (column % 64);
      }
    }
  }
  return known->second;
}

Facts Engine::Impl::facts_of(const Query& query, const CacheKey& key) const {
  Facts facts;
  facts.source = key.source;
  facts.dest = key.dest;
  facts.traffic_class = key.traffic_class;
  facts.protocol = query.protocol;
  facts.source_port = query.source_port;
  facts.dest_port = query.dest_port;
  const std::uint32_t names = key.rare & 0xFFFF;
  if (names != 0) facts.domains = name_columns[names].data();
  // Of pods nobody needs to know a name.
  facts.names_known = names != 0 || key.dest.identity != kNoPod;
  facts.http = query.http;
  return facts;
}

/// The trace of one program; 0 where nothing decided.
std::uint32_t Engine::Impl::run(const Span& tiers, const TierCode* profiles, const Facts& facts, Direction direction,
                                std::uint8_t& uncertainty) {
  std::uint32_t trace = 0;
  for (std::uint32_t i = tiers.first; i < tiers.end(); ++i) {
    const TierCode& tier = code.tiers[i];
    const RuleCode* rule = first_match(code, tier, facts, direction, uncertainty);
    if (rule == nullptr && tier.default_hit == kNoHit) continue;
    trace = outcomes.extend(trace, rule != nullptr ? rule->hit : tier.default_hit, code.hits);
    if ((rule != nullptr ? rule->action : tier.default_action) != model::Action::kPass) return trace;
  }
  if (profiles == nullptr) return trace;
  const RuleCode* rule = first_match(code, *profiles, facts, direction, uncertainty);
  return outcomes.extend(trace, rule != nullptr ? rule->hit : profiles->default_hit, code.hits);
}

std::uint32_t Engine::Impl::decide(Direction direction, const Facts& facts) {
  const bool egress = direction == Direction::kEgress;
  const End& subject = egress ? facts.source : facts.dest;
  if (subject.identity == kNoPod) return 0;
  const IdentityCode& identity = code.identities[subject.identity];
  const auto at = static_cast<std::size_t>(direction);
  const TierCode* profiles = &code.tiers[identity.profiles[at]];
  const std::uint32_t program = identity.programs[0][at], other = identity.programs[1][at];
  std::uint8_t uncertainty = kExact;
  const std::uint32_t enforced = run(code.programs[program], profiles, facts, direction, uncertainty);
  const std::uint32_t pending =
      other == program ? enforced : run(code.programs[other], profiles, facts, direction, uncertainty);
  if (!egress && facts.source.identity == kNoPod && code.node_column != kAnything &&
      BitMatrix::test(code.address_sets.row(facts.source.address_class), code.node_column)) {
    uncertainty |= kSnat;
  }
  return outcomes.outcome(enforced, pending, uncertainty);
}

/// False: no policy can apply to either end.
bool Engine::Impl::make_key(const Query& query, CacheKey& key, bool& cachable) {
  key.source = locate(query.source, query.source_ip);
  key.dest = locate(query.dest, query.dest_ip);
  const bool loopback = query.source == query.dest && key.source.identity != kNoPod;
  if (loopback || (key.source.identity == kNoPod && key.dest.identity == kNoPod)) return false;
  if (options.node_traffic != NodeTraffic::kEvaluate && between_node_and_pod(query, key.source, key.dest)) return false;
  key.traffic_class = code.traffic_classes.classify(query.protocol, query.dest_port);
  cachable = query.http == nullptr || code.http_matches.empty();
  if (!code.domains.empty()) {
    const std::uint32_t names = name_class(query);
    key.rare = names;
  }
  if (!code.source_traffic.empty()) {
    const std::uint32_t ports = code.source_classes.classify(query.protocol, query.source_port);
    cachable &= ports <= kMaxSourceClasses;
    key.rare |= ports << 16;
  }
  return true;
}

Engine::Engine(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
Engine::~Engine() = default;

Result<std::unique_ptr<Engine>> Engine::create(const EngineOptions& options, const EngineInputs& inputs) {
  auto impl = std::make_unique<Impl>(options);
  TRY(impl->update(inputs));
  return std::unique_ptr<Engine>(new Engine(std::move(impl)));
}

Status Engine::update(const EngineInputs& inputs) { return impl_->update(inputs); }

Verdict Engine::evaluate(const Query& query) {
  Impl& impl = *impl_;
  CacheKey key;
  bool cachable = true;
  if (!impl.make_key(query, key, cachable)) return {};
  if (impl.cache.empty() || !cachable) {
    ++impl.misses;
    const CacheEntry found = impl.compute(key, query);
    return {impl.outcomes.side(found.egress), impl.outcomes.side(found.ingress)};
  }
  CacheSet& set = impl.cache[key.hash() & (impl.cache.size() - 1)];
  if (set.entries[0].key == key) {
    ++impl.hits;
  } else if (set.entries[1].key == key) {
    ++impl.hits;
    std::swap(set.entries[0], set.entries[1]);
  } else {
    ++impl.misses;
    set.entries[1] = set.entries[0];
    set.entries[0] = impl.compute(key, query);
  }
  return {impl.outcomes.side(set.entries[0].egress), impl.outcomes.side(set.entries[0].ingress)};
}

SideVerdict Engine::evaluate_host(std::string_view host, HostStage stage, bool egress, const Query& query) {
  Impl& impl = *impl_;
  const auto found = std::find_if(impl.code.hosts.begin(), impl.code.hosts.end(),
                                  [&](const HostCode& one) { return one.endpoint->name == host; });
  if (found == impl.code.hosts.end()) return {};
  const bool local = stage == HostStage::kLocal;
  if (local && impl.options.failsafe_ports && is_failsafe(egress, query.protocol, query.dest_port)) return {};
  CacheKey key;
  bool cachable = true;
  impl.make_key(query, key, cachable);
  key.traffic_class = impl.code.traffic_classes.classify(query.protocol, query.dest_port);
  const Facts facts = impl.facts_of(query, key);
  const Direction direction = egress ? Direction::kEgress : Direction::kIngress;
  const auto at = static_cast<std::size_t>(direction);
  const auto& programs = found->programs[static_cast<std::size_t>(stage)];
  const TierCode* profiles = local ? &impl.code.tiers[found->profiles[at]] : nullptr;
  std::uint8_t uncertainty = kExact;
  const std::uint32_t enforced = impl.run(impl.code.programs[programs[0][at]], profiles, facts, direction, uncertainty);
  const std::uint32_t pending = impl.run(impl.code.programs[programs[1][at]], profiles, facts, direction, uncertainty);
  if (enforced == 0 && pending == 0) return {};
  return impl.outcomes.host_side(enforced, pending, uncertainty);
}

std::optional<NearestMiss> Engine::nearest_miss(const Query& query, bool egress) {
  Impl& impl = *impl_;
  CacheKey key;
  bool cachable = true;
  if (!impl.make_key(query, key, cachable)) return std::nullopt;
  const Facts facts = impl.facts_of(query, key);
  return find_nearest_miss(impl.compiler, facts, egress ? Direction::kEgress : Direction::kIngress);
}

Explanation Engine::explain(const Query& query, bool egress, bool pending) {
  Impl& impl = *impl_;
  CacheKey key;
  bool cachable = true;
  if (!impl.make_key(query, key, cachable)) return {};
  return explain_side(impl.compiler, impl.facts_of(query, key), egress ? Direction::kEgress : Direction::kIngress,
                      pending ? Scope::kPending : Scope::kEnforced);
}

EngineStats Engine::stats() const {
  const Impl& impl = *impl_;
  EngineStats stats;
  stats.identities = impl.code.identities.size() - 1;
  stats.programs = impl.code.programs.size();
  stats.ip_classes = impl.code.address_classes.size();
  stats.port_classes = impl.code.traffic_classes.size();
  stats.traces = impl.outcomes.traces();
  stats.cache_hits = impl.hits;
  stats.cache_misses = impl.misses;
  stats.bytes = impl.compiler.bytes() + impl.cache.size() * sizeof(CacheSet);
  stats.compiled_anew = impl.anew;
  return stats;
}

}  // namespace weir::policy
