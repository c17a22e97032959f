#include "observe/flow_flags.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <optional>

#include "base/ip.h"
#include "base/text.h"
#include "filter/expression.h"
#include "model/protocol.h"
#include "observe/filter_text.h"
#include "observe/label_selector.h"

// A flag's name is its scope (either end, "from-", "to-") and what it tests. Tests of one end are made for "src." and
// "dst." apart; for either end both are joined by OR after all tests of that end are joined by AND.

namespace weir::observe {
namespace {

constexpr std::string_view kNoHttp = "flow records hold no HTTP requests; they are in l7.log";
constexpr std::string_view kNoCluster = "a server holds one cluster; name another with --server";
constexpr std::string_view kNoPackets =
    "a flow record adds up whole connections; it has no packets or trace ids of its own";

// clang-format off
constexpr FilterFlag kFlags[] = {
    {"pod", "", "[NS/]PREFIX", "pod whose name begins with PREFIX; without NS in the namespaces of -n, else in 'default'", ""},
    {"from-pod", "", "[NS/]PREFIX", "the same of the source", ""},
    {"to-pod", "", "[NS/]PREFIX", "the same of the destination", ""},
    {"namespace", "-n", "NS", "namespace", ""},
    {"from-namespace", "", "NS", "namespace of the source", ""},
    {"to-namespace", "", "NS", "namespace of the destination", ""},
    {"all-namespaces", "-A", "", "pods of any namespace", ""},
    {"from-all-namespaces", "", "", "the same of the source", ""},
    {"to-all-namespaces", "", "", "the same of the destination", ""},
    {"label", "-l", "SELECTOR", "Kubernetes label selector, or reserved:world, reserved:host", ""},
    {"from-label", "", "SELECTOR", "the same of the source", ""},
    {"to-label", "", "SELECTOR", "the same of the destination", ""},
    {"workload", "", "[KIND/]NAME", "workload at the end of the owner chain", ""},
    {"from-workload", "", "[KIND/]NAME", "the same of the source", ""},
    {"to-workload", "", "[KIND/]NAME", "the same of the destination", ""},
    {"ip", "", "IP", "address or CIDR block", ""},
    {"from-ip", "", "IP", "the same of the source", ""},
    {"to-ip", "", "IP", "the same of the destination", ""},
    {"ipv4", "-4", "", "IPv4 addresses", ""},
    {"ipv6", "-6", "", "IPv6 addresses", ""},
    {"ip-version", "", "VERSION", "v4 or v6; none for both", ""},
    {"port", "", "PORT", "port number", ""},
    {"from-port", "", "PORT", "port of the source", ""},
    {"to-port", "", "PORT", "port of the destination", ""},
    {"protocol", "", "PROTOCOL", "tcp, udp, sctp, icmp, icmpv4, icmpv6, or a number", ""},
    {"service", "", "[NS/]NAME", "service that was addressed; namespaces as of --pod", ""},
    {"to-service", "", "[NS/]NAME", "the same", ""},
    {"fqdn", "", "GLOB", "name that the client looked up for the destination's address", ""},
    {"to-fqdn", "", "GLOB", "the same", ""},
    {"verdict", "", "VERDICT", "FORWARDED (allow), DROPPED (deny), AUDIT (staged policies would decide otherwise)", ""},
    {"drop-reason-desc", "", "REASON", "POLICY_DENIED or POLICY_DENY: denied by a policy", ""},
    {"type", "-t", "TYPE", "trace, trace:from-endpoint, trace:to-endpoint, drop, policy-verdict", ""},
    {"traffic-direction", "", "DIRECTION", "ingress (told by the destination's node), egress (by the source's)", ""},
    {"node-name", "", "GLOB", "node that reports", ""},
    {"identity", "", "NAME", "host or world", ""},
    {"from-identity", "", "NAME", "the same of the source", ""},
    {"to-identity", "", "NAME", "the same of the destination", ""},

    {"from-service", "", "NAME", "", "a service is what a client addresses: use --from-workload or --from-label for who calls"},
    {"from-fqdn", "", "GLOB", "", "names are known of destinations: use --from-ip or --from-pod"},
    {"snat-ip", "", "IP", "", "records hold the ports after SNAT, not the address: use --from-ip, or --filter 'nat_outgoing_ports = PORT'"},
    {"tcp-flags", "", "FLAGS", "", "a flow record adds up whole connections: use --filter 'tcp_resets > 0', 'num_flows_refused > 0' or 'num_flows_started > 0'"},
    {"uuid", "", "ID", "", kNoPackets},
    {"trace-id", "", "ID", "", kNoPackets},
    {"ip-trace-id", "", "ID", "", kNoPackets},
    {"http-status", "", "STATUS", "", kNoHttp},
    {"http-method", "", "METHOD", "", kNoHttp},
    {"http-path", "", "REGEX", "", kNoHttp},
    {"http-url", "", "REGEX", "", kNoHttp},
    {"http-header", "", "HEADER", "", kNoHttp},
    {"cluster", "", "GLOB", "", kNoCluster},
    {"from-cluster", "", "GLOB", "", kNoCluster},
    {"to-cluster", "", "GLOB", "", kNoCluster},
    {"node-label", "", "SELECTOR", "", "records name the node, not its labels: use --node-name"},
    {"interface", "", "NAME", "", "records name ends, not interfaces: use --pod or --node-name"},
    {"encrypted", "", "", "", "records do not tell whether a tunnel was encrypted"},
    {"unencrypted", "", "", "", "records do not tell whether a tunnel was encrypted"},
    {"cel-expression", "", "EXPR", "", "use --filter with an expression of docs/filters.md"},
    {"allowlist", "", "JSON", "", "use --filter with an expression of docs/filters.md"},
    {"denylist", "", "JSON", "", "use --filter 'NOT (…)' with an expression of docs/filters.md"},
};
// clang-format on

constexpr std::string_view kReservedPrefix = "reserved:";

enum class Scope : std::uint8_t { kEither, kFrom, kTo };

/// Flags that test one end, in the order of their text.
constexpr std::array<std::string_view, 7> kEndTests = {"namespace", "all-namespaces", "pod", "workload", "label",
                                                       "ip",        "identity"};

struct Use {
  Scope scope = Scope::kEither;
  /// What is tested: the flag's name without its scope.
  std::string_view what;
  std::string_view value;
  bool negated = false;
};

const FilterFlag* find_flag(std::string_view name) {
  const auto* flag =
      std::find_if(std::begin(kFlags), std::end(kFlags), [&](const FilterFlag& known) { return known.name == name; });
  return flag == std::end(kFlags) ? nullptr : flag;
}

Result<Use> read_use(const FlagUse& typed) {
  const FilterFlag* flag = find_flag(typed.name);
  if (flag == nullptr) return invalid_argument("unknown filter --" + std::string(typed.name));
  if (!flag->instead.empty()) {
    return invalid_argument("--" + std::string(typed.name) + " cannot be answered: " + std::string(flag->instead));
  }
  Use use{Scope::kEither, flag->name, typed.value, typed.negated};
  for (const auto& [prefix, scope] : {std::pair{std::string_view("from-"), Scope::kFrom}, {"to-", Scope::kTo}}) {
    if (!use.what.starts_with(prefix)) continue;
    use.what.remove_prefix(prefix.size());
    use.scope = scope;
  }
  // Of these there is one end only.
  if (use.what == "service" || use.what == "fqdn") use.scope = Scope::kTo;
  return use;
}

std::string flag_name(const Use& use) {
  const std::string_view prefix = use.scope == Scope::kFrom ? "--from-" : use.scope == Scope::kTo ? "--to-" : "--";
  return std::string(prefix) + std::string(use.what);
}

Error wrong_value(const Use& use, std::string_view wanted) {
  return invalid_argument(flag_name(use) + ": '" + std::string(use.value) + "' is not " + std::string(wanted));
}

/// "shop/web" → "shop", "web"; no namespace: none.
std::pair<std::optional<std::string_view>, std::string_view> split_name(std::string_view text) {
  const std::size_t slash = text.find('/');
  if (slash == std::string_view::npos) return {std::nullopt, text};
  return {text.substr(0, slash), text.substr(slash + 1)};
}

/// The namespaces that a name without one may be in; empty: any.
using Namespaces = std::vector<std::string>;

std::string pod_test(const Use& use, const std::string& end, const Namespaces& namespaces) {
  const auto [given, name] = split_name(use.value);
  std::vector<std::string> parts;
  if (given && !given->empty()) {
    parts.push_back(any_of(end + "ns", {literal_pattern(*given)}));
  } else if (!given && !namespaces.empty()) {
    parts.push_back(any_of(end + "ns", namespaces));
  }
  if (!name.empty()) parts.push_back(any_of(end + "pod", {literal_pattern(name) + "*"}));
  return all_of(parts);
}

std::string service_test(const Use& use, const Namespaces& namespaces) {
  const auto [given, name] = split_name(use.value);
  std::vector<std::string> parts;
  if (given) {
    parts.push_back(any_of("dest_service_namespace", {literal_pattern(*given)}));
  } else if (!namespaces.empty()) {
    parts.push_back(any_of("dest_service_namespace", namespaces));
  }
  if (!name.empty()) parts.push_back(any_of("svc", {literal_pattern(name)}));
  return all_of(parts);
}

struct Kind {
  std::string_view typed, kind;
};
constexpr Kind kKinds[] = {{"deploy", "Deployment"},
                           {"deployment", "Deployment"},
                           {"ds", "DaemonSet"},
                           {"daemonset", "DaemonSet"},
                           {"sts", "StatefulSet"},
                           {"statefulset", "StatefulSet"},
                           {"rs", "ReplicaSet"},
                           {"replicaset", "ReplicaSet"},
                           {"job", "Job"},
                           {"cj", "CronJob"},
                           {"cronjob", "CronJob"},
                           {"po", "Pod"},
                           {"pod", "Pod"}};

std::string workload_test(const Use& use, const std::string& end) {
  const auto [kind, name] = split_name(use.value);
  std::vector<std::string> parts;
  if (kind) {
    std::string_view known = *kind;
    for (const Kind& row : kKinds) {
      if (equal_ignoring_case(row.typed, *kind)) known = row.kind;
    }
    parts.push_back(any_of(end + "kind", {literal_pattern(known)}));
  }
  if (!name.empty()) parts.push_back(any_of(end + "workload", {literal_pattern(name)}));
  return all_of(parts);
}

Result<std::string> identity_test(const Use& use, std::string_view name, const std::string& end) {
  if (name == "world") return any_of(end + "type", {"net", "ns"});
  if (name == "host" || name == "remote-node") return any_of(end + "type", {"hep"});
  return invalid_argument(flag_name(use) + ": '" + std::string(use.value) +
                          "' is not known: Weir has no numeric identities, use --label, --workload or --pod; of the "
                          "reserved ones there are host and world");
}

Result<std::string> ip_test(const Use& use, const std::string& end) {
  if (!IpPrefix::parse(use.value).ok()) return wrong_value(use, "an IP address or CIDR block");
  return any_of(end + "ip", {std::string(use.value)});
}

/// A test of the end that `end` ("src.", "dst.", or "" for either) begins the words of.
Result<std::string> end_test(const Use& use, const std::string& end, const Namespaces& namespaces) {
  if (use.what == "namespace") return any_of(end + "ns", {literal_pattern(use.value)});
  if (use.what == "all-namespaces") return "NOT " + end + "ns EMPTY";
  if (use.what == "pod") return pod_test(use, end, namespaces);
  if (use.what == "workload") return workload_test(use, end);
  if (use.what == "ip") return ip_test(use, end);
  if (use.what == "identity") return identity_test(use, use.value, end);
  if (use.value.starts_with(kReservedPrefix)) {
    return identity_test(use, use.value.substr(kReservedPrefix.size()), end);
  }
  Result<std::string> selector = label_filter(use.value, end + "label");
  if (!selector.ok()) return invalid_argument(flag_name(use) + ": " + selector.error().message);
  return selector;
}

Result<std::string> verdict_test(const Use& use) {
  constexpr std::string_view kPendingDeny = R"-(policies.pending =~ "\|deny(\||$)")-";
  if (equal_ignoring_case(use.value, "FORWARDED") || equal_ignoring_case(use.value, "allow"))
    return std::string("action = allow");
  if (equal_ignoring_case(use.value, "DROPPED") || equal_ignoring_case(use.value, "deny"))
    return std::string("action = deny");
  if (equal_ignoring_case(use.value, "AUDIT")) {
    return one_of({all_of({"action = allow", std::string(kPendingDeny)}),
                   all_of({"action = deny", "NOT policies.pending EMPTY", "NOT " + std::string(kPendingDeny)})});
  }
  return wrong_value(use, "a verdict of Weir: FORWARDED (allow), DROPPED (deny) or AUDIT (a staged change)");
}

Result<std::string> type_test(const Use& use) {
  if (use.value == "drop") return std::string("action = deny");
  if (use.value == "trace") return std::string("action = allow");
  if (use.value == "trace:from-endpoint") return all_of({"action = allow", "reporter = src"});
  if (use.value == "trace:to-endpoint") return all_of({"action = allow", "reporter = dst"});
  if (use.value == "policy-verdict") return std::string("NOT policies.enforced EMPTY");
  return wrong_value(
      use,
      "a type of flow records: trace, trace:from-endpoint, trace:to-endpoint, drop or policy-verdict (for "
      "DNS there is `weir dns`)");
}

Result<std::string> protocol_test(const Use& use) {
  if (equal_ignoring_case(use.value, "icmp")) return std::string("proto IN {icmp, icmp6}");
  if (equal_ignoring_case(use.value, "icmpv4")) return std::string("proto = icmp");
  if (equal_ignoring_case(use.value, "dns")) return wrong_value(use, "kept in flow records: use `weir dns`");
  if (equal_ignoring_case(use.value, "http") || equal_ignoring_case(use.value, "kafka")) {
    return wrong_value(use, "kept in flow records: use --to-port");
  }
  const int number = model::parse_protocol(use.value);
  if (number < 0) return wrong_value(use, "a protocol: tcp, udp, sctp, icmp, icmpv4, icmpv6, or a number up to 255");
  return "proto = " + model::protocol_name(static_cast<std::uint8_t>(number));
}

Result<std::string> port_test(const Use& use) {
  unsigned port = 0;
  const char* end = use.value.data() + use.value.size();
  const auto [stop, error] = std::from_chars(use.value.data(), end, port);
  if (error != std::errc() || stop != end || port > 65535) return wrong_value(use, "a port number from 0 to 65535");
  const std::string_view word = use.scope == Scope::kFrom ? "src.port" : use.scope == Scope::kTo ? "dst.port" : "port";
  return any_of(word, {std::to_string(port)});
}

Result<std::string> version_test(const Use& use) {
  constexpr std::string_view kV4 = "ip = 0.0.0.0/0", kV6 = "ip = ::/0";
  const std::string_view value = use.what == "ip-version" ? use.value : use.what;
  for (const std::string_view name : {"ipv4", "v4", "4", "ip4"}) {
    if (equal_ignoring_case(value, name)) return std::string(kV4);
  }
  for (const std::string_view name : {"ipv6", "v6", "6", "ip6"}) {
    if (equal_ignoring_case(value, name)) return std::string(kV6);
  }
  if (equal_ignoring_case(value, "none")) return std::string();
  return wrong_value(use, "an IP version: v4, v6 or none");
}

/// A test that is not about one of two ends.
Result<std::string> other_test(const Use& use, const Namespaces& namespaces) {
  if (use.what == "verdict") return verdict_test(use);
  if (use.what == "type") return type_test(use);
  if (use.what == "protocol") return protocol_test(use);
  if (use.what == "port") return port_test(use);
  if (use.what == "ipv4" || use.what == "ipv6" || use.what == "ip-version") return version_test(use);
  if (use.what == "service") return service_test(use, namespaces);
  if (use.what == "fqdn") return any_of("domain", {std::string(use.value)});
  if (use.what == "node-name") {
    // "cluster/node" of others; here there is one cluster.
    return any_of("host", {std::string(use.value.substr(use.value.find('/') + 1))});
  }
  if (use.what == "drop-reason-desc") {
    if (use.value == "POLICY_DENIED" || use.value == "POLICY_DENY") return std::string("action = deny");
    return wrong_value(use, "a reason that flow records have: POLICY_DENIED");
  }
  if (equal_ignoring_case(use.value, "ingress")) return std::string("reporter = dst");
  if (equal_ignoring_case(use.value, "egress")) return std::string("reporter = src");
  return wrong_value(use, "a direction: ingress or egress");
}

class Builder {
 public:
  explicit Builder(std::vector<Use> uses) : uses_(std::move(uses)) {}

  Result<std::string> build(std::string_view expression) {
    TRY(check_conflicts());
    std::vector<std::string> all;
    for (const Scope scope : {Scope::kEither, Scope::kFrom, Scope::kTo}) {
      TRY_ASSIGN(std::string text, ends(scope));
      all.push_back(std::move(text));
    }
    TRY(add_others(all));
    for (const Use& use : uses_) {
      if (!use.negated) continue;
      TRY_ASSIGN(const std::string text, single(use));
      if (!text.empty()) all.push_back(negation_of(text));
    }
    const std::string flags = all_of(all);
    if (expression.empty()) return flags;
    TRY(check_expression(expression));
    if (flags.empty()) return std::string(expression);
    // It may hold an OR, in any spelling.
    return all_of({flags, "(" + std::string(expression) + ")"});
  }

 private:
  static Status check_expression(std::string_view expression) {
    const Result<filter::Expression> parsed = filter::parse(expression);
    if (!parsed.ok()) return invalid_argument("--filter: " + parsed.error().message);
    return {};
  }

  bool given(Scope scope, std::string_view what) const {
    return std::any_of(uses_.begin(), uses_.end(),
                       [&](const Use& use) { return !use.negated && use.scope == scope && use.what == what; });
  }

  Status check_conflicts() const {
    const auto refuse = [](std::string_view a, std::string_view b) {
      return invalid_argument("filters --" + std::string(a) + " and --" + std::string(b) + " cannot be combined");
    };
    for (const std::string_view what :
         {"pod", "namespace", "all-namespaces", "label", "workload", "ip", "port", "identity"}) {
      if (!given(Scope::kEither, what)) continue;
      if (given(Scope::kFrom, what)) return refuse(what, "from-" + std::string(what));
      if (given(Scope::kTo, what)) return refuse(what, "to-" + std::string(what));
    }
    for (const Scope scope : {Scope::kEither, Scope::kFrom, Scope::kTo}) {
      if (given(scope, "namespace") && given(scope, "all-namespaces")) return refuse("namespace", "all-namespaces");
    }
    return check_verdicts();
  }

  /// A drop that was forwarded.
  Status check_verdicts() const {
    bool forwarded = false, other = false;
    for (const Use& use : uses_) {
      if (use.negated || use.what != "verdict") continue;
      (equal_ignoring_case(use.value, "FORWARDED") || equal_ignoring_case(use.value, "allow") ? forwarded : other) =
          true;
    }
    if (forwarded && !other && given(Scope::kEither, "drop-reason-desc")) {
      return invalid_argument(
          "filters --verdict and --drop-reason-desc cannot be combined: what was forwarded has no "
          "reason");
    }
    return {};
  }

  /// Where names without a namespace are looked for.
  Result<Namespaces> namespaces(Scope scope, const Use& name) const {
    for (const Scope in : {scope, Scope::kEither}) {
      if (given(in, "all-namespaces")) return Namespaces();
      Namespaces found;
      for (const Use& use : uses_) {
        if (!use.negated && use.scope == in && use.what == "namespace") found.push_back(literal_pattern(use.value));
      }
      if (found.empty()) continue;
      const std::optional<std::string_view> own = split_name(name.value).first;
      if (own && !name.negated && std::find(found.begin(), found.end(), literal_pattern(*own)) == found.end()) {
        return invalid_argument("namespace conflict: " + flag_name(name) + " " + std::string(name.value) +
                                " is in none of the namespaces given");
      }
      return found;
    }
    return Namespaces{"default"};
  }

  Result<std::string> test_of(const Use& use, const std::string& end) const {
    Namespaces in;
    if (use.what == "pod") {
      TRY_ASSIGN(in, namespaces(use.scope, use));
    }
    return end_test(use, end, in);
  }

  /// All tests of one scope on one end.
  Result<std::string> tests_on(Scope scope, const std::string& end) const {
    std::vector<std::string> all;
    for (const std::string_view what : kEndTests) {
      // A pod's test holds its namespace.
      if ((what == "namespace" || what == "all-namespaces") && given(scope, "pod")) continue;
      std::vector<std::string> any;
      std::vector<std::string> names;
      for (const Use& use : uses_) {
        if (use.negated || use.scope != scope || use.what != what) continue;
        TRY_ASSIGN(std::string text, test_of(use, end));
        any.push_back(std::move(text));
        names.push_back(literal_pattern(use.value));
      }
      const std::string_view word = what == "namespace" ? "ns" : "ip";
      const bool plain = (what == "namespace" || what == "ip") && any.size() > 1;
      all.push_back(plain ? any_of(end + std::string(word), names) : one_of(any));
    }
    return all_of(all);
  }

  Result<std::string> ends(Scope scope) const {
    if (scope == Scope::kFrom) return tests_on(scope, "src.");
    if (scope == Scope::kTo) return tests_on(scope, "dst.");
    // One test with one word: the language's own either end says the same, shorter.
    TRY_ASSIGN(const std::string either, tests_on(scope, ""));
    if (is_single_test(either)) return either;
    TRY_ASSIGN(std::string source, tests_on(scope, "src."));
    TRY_ASSIGN(std::string dest, tests_on(scope, "dst."));
    return one_of({source, dest});
  }

  static bool is_single_test(const std::string& text) {
    if (text.empty()) return true;
    const Result<filter::Expression> parsed = filter::parse(text);
    // "NOT ns EMPTY" of either end is one of them, as it should be; "NOT ns = a" would be both.
    if (!parsed.ok()) return false;
    const filter::Expression& expression = parsed.value();
    if (expression.kind == filter::Expression::Kind::kTest) return true;
    return expression.kind == filter::Expression::Kind::kNot &&
           expression.children.front().kind == filter::Expression::Kind::kTest &&
           expression.children.front().test.op == filter::Test::Op::kEmpty;
  }

  Status add_others(std::vector<std::string>& all) const {
    for (const std::string_view what : {"port", "protocol", "ipv4", "service", "fqdn", "verdict", "drop-reason-desc",
                                        "type", "traffic-direction", "node-name"}) {
      for (const Scope scope : {Scope::kEither, Scope::kFrom, Scope::kTo}) {
        std::vector<std::string> any;
        for (const Use& use : uses_) {
          const bool version = what == "ipv4" && (use.what == "ipv6" || use.what == "ip-version");
          if (use.negated || use.scope != scope || (use.what != what && !version)) continue;
          TRY_ASSIGN(std::string text, single(use));
          any.push_back(std::move(text));
        }
        all.push_back(one_of(any));
      }
    }
    return {};
  }

  /// One flag on its own.
  Result<std::string> single(const Use& use) const {
    if (std::find(kEndTests.begin(), kEndTests.end(), use.what) == kEndTests.end()) {
      Namespaces in;
      if (use.what == "service") {
        TRY_ASSIGN(in, namespaces(use.scope, use));
      }
      return other_test(use, in);
    }
    if (use.scope != Scope::kEither) return test_of(use, use.scope == Scope::kFrom ? "src." : "dst.");
    TRY_ASSIGN(std::string either, test_of(use, ""));
    if (is_single_test(either)) return either;
    TRY_ASSIGN(std::string source, test_of(use, "src."));
    TRY_ASSIGN(std::string dest, test_of(use, "dst."));
    return one_of({source, dest});
  }

  std::vector<Use> uses_;
};

}  // namespace

std::span<const FilterFlag> flow_flags() { return kFlags; }

Result<std::string> flow_filter(std::span<const FlagUse> typed, std::string_view expression) {
  std::vector<Use> uses;
  for (const FlagUse& use : typed) {
    TRY_ASSIGN(uses.emplace_back(), read_use(use));
  }
  return Builder(std::move(uses)).build(expression);
}

}  // namespace weir::observe
