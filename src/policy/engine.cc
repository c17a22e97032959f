// Evaluates the compiled form.
//
// Peers and ports are first mapped to classes: identity of each pod, address class of each address, port class. The
// rules of a program then cost a few bit tests each. Everything a verdict depends on is in the classes, so they are the
// key of the verdict cache, which is two-way set-associative with the newer entry first.

#include "policy/engine.h"

#include <absl/container/flat_hash_map.h>

#include <bit>

#include "base/hash.h"
#include "policy/internal/compiled.h"

namespace weir::policy {
namespace {

/// An interned trace and its verdict. The empty trace, of an end that is not managed, is all zero.
struct TraceRef {
  std::uint32_t number : 30 = 0;
  std::uint32_t verdict : 2 = 0;
};

/// Interns traces as a tree: a trace is its parent and one more hit.
class TraceTable {
 public:
  TraceTable(const std::vector<Hit>& hits, TraceStore& store) : hits_(hits), store_(store) {
    traces_.push_back(nullptr);
  }

  TraceRef extend(TraceRef parent, std::uint32_t hit) {
    const auto next = static_cast<std::uint32_t>(traces_.size());
    const auto [known, added] = children_.try_emplace(std::uint64_t{parent.number} << 32 | hit, next);
    if (added) {
      model::PolicyTrace trace;
      if (parent.number != 0) trace = *traces_[parent.number];
      trace.entries.push_back(std::to_string(trace.entries.size()) + "|" + hits_[hit].text);
      trace.verdict = hits_[hit].action;
      traces_.push_back(store_.intern(std::move(trace)));
    }
    return {known->second & kNumbers, static_cast<std::uint32_t>(hits_[hit].action) & 3U};
  }
  SideVerdict verdict(TraceRef ref) const {
    const model::PolicyTrace* trace = traces_[ref.number];
    return {trace != nullptr, static_cast<model::Action>(ref.verdict), trace, trace};
  }
  std::size_t size() const { return traces_.size() - 1; }

 private:
  static constexpr std::uint32_t kNumbers = (1U << 30) - 1;

  const std::vector<Hit>& hits_;
  TraceStore& store_;
  /// By number; 0 is the empty trace.
  std::vector<const model::PolicyTrace*> traces_;
  absl::flat_hash_map<std::uint64_t, std::uint32_t> children_;
};

/// One end of a connection.
struct End {
  std::uint32_t identity = kNoPod;
  std::uint32_t address_class = PrefixClasses::kNone;

  friend bool operator==(const End&, const End&) = default;
};

struct CacheKey {
  End source, dest;
  std::uint32_t port_class = 0;

  friend bool operator==(const CacheKey&, const CacheKey&) = default;
  std::uint64_t hash() const {
    const std::uint64_t ends = mix64(std::uint64_t{source.identity} << 32 | dest.identity,
                                     std::uint64_t{source.address_class} << 32 | dest.address_class);
    return mix64(ends, port_class);
  }
};

struct CacheEntry {
  CacheKey key;
  TraceRef egress, ingress;
};

/// One cache line: the newer entry first. An entry of two unmanaged ends is an empty one.
struct alignas(64) CacheSet {
  CacheEntry entries[2];
};

}  // namespace

struct Engine::Impl {
  Impl(const EngineOptions& engine_options, Compiled compiled)
      : options(engine_options),
        code(std::move(compiled)),
        own_store(options.trace_store != nullptr ? nullptr : std::make_unique<TraceStore>()),
        traces(code.hits, options.trace_store != nullptr ? *options.trace_store : *own_store) {
    if (options.cache_entries > 0) cache.resize(std::bit_ceil((options.cache_entries + 1) / 2));
  }

  End locate(const model::Endpoint* endpoint, const IpAddress& ip) const;
  TraceRef decide(Direction direction, const CacheKey& key, std::uint16_t dest_port);
  const RuleCode* first_match(const TierCode& tier, const CacheKey& key, const End& peer, std::uint16_t port) const;
  bool names_match(const RuleCode& rule, const CacheKey& key, std::uint16_t dest_port) const;
  CacheEntry compute(const CacheKey& key, std::uint16_t dest_port);

  EngineOptions options;
  Compiled code;
  std::unique_ptr<TraceStore> own_store;
  TraceTable traces;
  std::vector<CacheSet> cache;
  std::uint64_t hits = 0, misses = 0;
};

End Engine::Impl::locate(const model::Endpoint* endpoint, const IpAddress& ip) const {
  End end;
  // Other types than pods have no pod index, so that one cache line of the endpoint is enough.
  if (endpoint != nullptr && endpoint->pod_index >= 0) {
    const auto index = static_cast<std::size_t>(endpoint->pod_index);
    if (index < code.pods.size() && code.pods[index].endpoint == endpoint) end.identity = code.pods[index].identity;
  }
  if (end.identity == kNoPod || options.ip_block_matches_pods) end.address_class = code.address_classes.classify(ip);
  return end;
}

/// Some named port of the rule is, at the destination pod, the port of the connection.
bool Engine::Impl::names_match(const RuleCode& rule, const CacheKey& key, std::uint16_t dest_port) const {
  if (key.dest.identity == kNoPod) return false;
  const Span& declared = code.identities[key.dest.identity].named_ports;
  for (std::uint32_t i = declared.first; i < declared.first + declared.count; ++i) {
    const NamedPortCode& port = code.named_ports[i];
    if (port.port != dest_port || code.port_classes.classify(port.protocol, port.port) != key.port_class) continue;
    for (std::uint32_t name = rule.names.first; name < rule.names.first + rule.names.count; ++name) {
      if (code.rule_names[name] == port.name) return true;
    }
  }
  return false;
}

const RuleCode* Engine::Impl::first_match(const TierCode& tier, const CacheKey& key, const End& peer,
                                          std::uint16_t port) const {
  const std::uint64_t* const ports = code.port_sets.row(key.port_class);
  const std::uint64_t* const pods = code.pod_sets.row(peer.identity);
  const std::uint64_t* const blocks = code.block_sets.row(peer.address_class);
  for (std::uint32_t i = tier.policies.first; i < tier.policies.first + tier.policies.count; ++i) {
    const Span rules = code.policies[code.policy_refs[i]];
    for (std::uint32_t r = rules.first; r < rules.first + rules.count; ++r) {
      const RuleCode& rule = code.rules[r];
      if (!BitMatrix::test(pods, rule.pods) && !BitMatrix::test(blocks, rule.blocks)) continue;
      if (BitMatrix::test(ports, rule.ports) || (rule.names.count > 0 && names_match(rule, key, port))) return &rule;
    }
  }
  return nullptr;
}

TraceRef Engine::Impl::decide(Direction direction, const CacheKey& key, std::uint16_t dest_port) {
  const bool egress = direction == Direction::kEgress;
  const End& subject = egress ? key.source : key.dest;
  if (subject.identity == kNoPod) return {};
  const IdentityCode& identity = code.identities[subject.identity];
  const Span tiers = code.programs[identity.programs[static_cast<std::size_t>(direction)]];
  TraceRef trace;
  for (std::uint32_t i = tiers.first; i < tiers.first + tiers.count; ++i) {
    const TierCode& tier = code.tiers[i];
    const RuleCode* rule = first_match(tier, key, egress ? key.dest : key.source, dest_port);
    trace = traces.extend(trace, rule != nullptr ? rule->hit : tier.default_hit);
    if ((rule != nullptr ? rule->action : tier.default_action) != model::Action::kPass) return trace;
  }
  return traces.extend(trace, identity.profile_hit);
}

CacheEntry Engine::Impl::compute(const CacheKey& key, std::uint16_t dest_port) {
  return {key, decide(Direction::kEgress, key, dest_port), decide(Direction::kIngress, key, dest_port)};
}

Engine::Engine(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
Engine::~Engine() = default;

Result<std::unique_ptr<Engine>> Engine::create(const EngineOptions& options, const EngineInputs& inputs) {
  TRY_ASSIGN(Compiled compiled, compile(options, inputs));
  return std::unique_ptr<Engine>(new Engine(std::make_unique<Impl>(options, std::move(compiled))));
}

Verdict Engine::evaluate(const Query& query) {
  Impl& impl = *impl_;
  CacheKey key{impl.locate(query.source, query.source_ip), impl.locate(query.dest, query.dest_ip), 0};
  const bool loopback = query.source == query.dest && key.source.identity != kNoPod;
  if (loopback || (key.source.identity == kNoPod && key.dest.identity == kNoPod)) return {};
  key.port_class = impl.code.port_classes.classify(query.protocol, query.dest_port);

  CacheEntry found;
  if (impl.cache.empty()) {
    ++impl.misses;
    found = impl.compute(key, query.dest_port);
  } else {
    CacheSet& set = impl.cache[key.hash() & (impl.cache.size() - 1)];
    if (set.entries[0].key == key) {
      ++impl.hits;
    } else if (set.entries[1].key == key) {
      ++impl.hits;
      std::swap(set.entries[0], set.entries[1]);
    } else {
      ++impl.misses;
      set.entries[1] = set.entries[0];
      set.entries[0] = impl.compute(key, query.dest_port);
    }
    found = set.entries[0];
  }
  return {impl.traces.verdict(found.egress), impl.traces.verdict(found.ingress)};
}

EngineStats Engine::stats() const {
  const Impl& impl = *impl_;
  return {impl.code.identities.size() - 1,
          impl.code.programs.size(),
          impl.code.address_classes.size(),
          impl.code.port_classes.size(),
          impl.traces.size(),
          impl.hits,
          impl.misses};
}

}  // namespace weir::policy
