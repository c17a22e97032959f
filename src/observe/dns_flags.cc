#include "observe/dns_flags.h"

#include <algorithm>
#include <chrono>
#include <iterator>
#include <vector>

#include "base/duration.h"
#include "base/ip.h"
#include "base/text.h"
#include "filter/expression.h"
#include "observe/filter_text.h"
#include "observe/label_selector.h"

namespace weir::observe {
namespace {

// clang-format off
constexpr FilterFlag kFlags[] = {
    {"pod", "", "[NS/]PREFIX", "client pod whose name begins with PREFIX; without NS in the namespaces of -n, else in 'default'", ""},
    {"namespace", "-n", "NS", "namespace of the client", ""},
    {"all-namespaces", "-A", "", "client pods of any namespace", ""},
    {"label", "-l", "SELECTOR", "Kubernetes label selector of the client", ""},
    {"ip", "", "IP", "address or CIDR block of the client", ""},
    {"fqdn", "", "GLOB", "name asked for; also --name", ""},
    {"name", "", "GLOB", "name asked for", ""},
    {"qtype", "-t", "TYPE", "type asked for: A, AAAA, SRV, ...", ""},
    {"rcode", "", "RCODE", "NoError, NXDomain, ServFail, Timeout, ...", ""},
    {"failed", "", "", "lookups with any rcode but NoError", ""},
    {"nameserver", "", "IP", "address of the server that was asked", ""},
    {"slower-than", "", "DURATION", "the slowest of the lookups took longer", ""},
    {"answer", "", "GLOB", "an address or name in the answer", ""},
    {"node-name", "", "GLOB", "node that reports", ""},
};
constexpr std::string_view kRcodes[] = {"NoError",  "FormErr", "ServFail", "NXDomain", "NotImp", "Refused",
                                        "YXDomain", "YXRRSet", "NXRRSet",  "NotAuth",  "NotZone", "Timeout"};
// clang-format on

/// Of several spellings the log's own.
std::string rcode_of(std::string_view typed) {
  for (const std::string_view known : kRcodes) {
    if (equal_ignoring_case(known, typed)) return std::string(known);
  }
  return std::string(typed);
}

Error wrong_value(const FlagUse& use, std::string_view wanted) {
  return invalid_argument("--" + std::string(use.name) + ": '" + std::string(use.value) + "' is not " +
                          std::string(wanted));
}

Result<std::string> address_test(const FlagUse& use, std::string_view field) {
  if (!IpPrefix::parse(use.value).ok()) return wrong_value(use, "an IP address or CIDR block");
  return any_of(field, {std::string(use.value)});
}

std::string pod_test(const FlagUse& use, const std::vector<std::string>& namespaces) {
  const std::size_t slash = use.value.find('/');
  std::vector<std::string> parts;
  if (slash != std::string_view::npos) {
    parts.push_back(any_of("ns", {literal_pattern(use.value.substr(0, slash))}));
  } else if (!namespaces.empty()) {
    parts.push_back(any_of("ns", namespaces));
  }
  const std::string_view name = slash == std::string_view::npos ? use.value : use.value.substr(slash + 1);
  if (!name.empty()) parts.push_back(any_of("pod", {literal_pattern(name) + "*"}));
  return all_of(parts);
}

std::string upper(std::string_view text) {
  std::string out(text);
  std::transform(out.begin(), out.end(), out.begin(),
                 [](char c) { return c >= 'a' && c <= 'z' ? static_cast<char>(c - 32) : c; });
  return out;
}

Result<std::string> test_of(const FlagUse& use, const std::vector<std::string>& namespaces) {
  if (use.name == "pod") return pod_test(use, namespaces);
  if (use.name == "namespace") return any_of("ns", {literal_pattern(use.value)});
  if (use.name == "all-namespaces") return std::string("NOT ns EMPTY");
  if (use.name == "label") {
    Result<std::string> selector = label_filter(use.value, "label");
    if (!selector.ok()) return invalid_argument("--label: " + selector.error().message);
    return selector;
  }
  if (use.name == "ip") return address_test(use, "ip");
  if (use.name == "nameserver") return address_test(use, "server");
  if (use.name == "fqdn" || use.name == "name") {
    // The log's names have no final dot, but the root.
    const bool dotted = use.value.size() > 1 && use.value.ends_with('.');
    return any_of("qname", {std::string(dotted ? use.value.substr(0, use.value.size() - 1) : use.value)});
  }
  if (use.name == "qtype") return any_of("qtype", {upper(use.value)});
  if (use.name == "rcode") return any_of("rcode", {rcode_of(use.value)});
  if (use.name == "failed") return std::string("rcode != NoError");
  if (use.name == "answer") return any_of("answer", {std::string(use.value)});
  if (use.name == "node-name") return any_of("host", {std::string(use.value)});
  const Result<std::chrono::nanoseconds> bound = parse_duration(use.value);
  if (!bound.ok()) return wrong_value(use, "a duration such as 10ms");
  return "latency_max > " + std::to_string(bound.value().count());
}

}  // namespace

std::span<const FilterFlag> dns_flags() { return kFlags; }

Result<std::string> dns_filter(std::span<const FlagUse> uses, std::string_view expression) {
  std::vector<std::string> namespaces;
  bool any_namespace = false;
  for (const FlagUse& use : uses) {
    if (use.negated) continue;
    if (use.name == "namespace") namespaces.push_back(literal_pattern(use.value));
    any_namespace |= use.name == "all-namespaces";
  }
  if (any_namespace && !namespaces.empty()) {
    return invalid_argument("filters --namespace and --all-namespaces cannot be combined");
  }
  if (!any_namespace && namespaces.empty()) namespaces.emplace_back("default");
  std::vector<std::string> all;
  for (const FilterFlag& flag : kFlags) {
    std::vector<std::string> any;
    for (const FlagUse& use : uses) {
      if (use.negated || use.name != flag.name) continue;
      TRY_ASSIGN(std::string text, test_of(use, namespaces));
      any.push_back(std::move(text));
    }
    all.push_back(one_of(any));
  }
  for (const FlagUse& use : uses) {
    if (!use.negated) continue;
    TRY_ASSIGN(const std::string text, test_of(use, namespaces));
    all.push_back(negation_of(text));
  }
  const std::string flags = all_of(all);
  if (expression.empty()) return flags;
  const Result<filter::Expression> parsed = filter::parse(expression, model::LogType::kDns);
  if (!parsed.ok()) return invalid_argument("--filter: " + parsed.error().message);
  if (flags.empty()) return std::string(expression);
  return all_of({flags, "(" + std::string(expression) + ")"});
}

}  // namespace weir::observe
