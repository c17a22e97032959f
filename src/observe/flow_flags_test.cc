#include "observe/flow_flags.h"

#include <gtest/gtest.h>

#include <fstream>
#include <iterator>
#include <string>
#include <vector>

#include "filter/filter.h"
#include "observe/dns_flags.h"

namespace weir::observe {
namespace {

/// "--not" before a flag, "--flag=value" or "--flag".
std::vector<FlagUse> uses_of(const std::vector<std::string>& words) {
  std::vector<FlagUse> uses;
  bool negated = false;
  for (const std::string& word : words) {
    if (word == "--not") {
      negated = true;
      continue;
    }
    const std::string_view text = std::string_view(word).substr(2);
    const std::size_t equals = text.find('=');
    uses.push_back({text.substr(0, equals), equals == std::string::npos ? "" : text.substr(equals + 1), negated});
    negated = false;
  }
  return uses;
}

struct Case {
  std::vector<std::string> flags;
  std::string filter;
};

TEST(FlowFlags, BecomeFilters) {
  const Case cases[] = {
      {{}, ""},
      {{"--pod=shop/web"}, "(src.ns = shop AND src.pod = web*) OR (dst.ns = shop AND dst.pod = web*)"},
      {{"--pod=web"}, "(src.ns = default AND src.pod = web*) OR (dst.ns = default AND dst.pod = web*)"},
      {{"--namespace=shop", "--pod=web"}, "(src.ns = shop AND src.pod = web*) OR (dst.ns = shop AND dst.pod = web*)"},
      {{"--namespace=a", "--namespace=b", "--from-pod=web"}, "ns IN {a, b} AND src.ns IN {a, b} AND src.pod = web*"},
      {{"--all-namespaces", "--pod=web"}, "pod = web*"},
      {{"--all-namespaces"}, "NOT ns EMPTY"},
      {{"--from-pod=shop/"}, "src.ns = shop"},
      {{"--to-pod=shop/a*b"}, R"(dst.ns = shop AND dst.pod = "a\\*b*")"},
      {{"--from-pod=a/x", "--from-pod=b/y"}, "(src.ns = a AND src.pod = x*) OR (src.ns = b AND src.pod = y*)"},
      {{"--from-pod=a/x", "--to-pod=b/y"}, "src.ns = a AND src.pod = x* AND dst.ns = b AND dst.pod = y*"},
      {{"--namespace=shop"}, "ns = shop"},
      {{"--namespace=shop", "--namespace=bank"}, "ns IN {shop, bank}"},
      {{"--from-namespace=shop", "--to-namespace=bank"}, "src.ns = shop AND dst.ns = bank"},
      {{"--from-all-namespaces"}, "NOT src.ns EMPTY"},
      {{"--namespace=AND"}, "ns = \"AND\""},
      {{"--label=app=web"}, "label.app = web"},
      {{"--label=k8s:app=web,tier!=db"},
       "(src.label.app = web AND NOT src.label.tier = db) OR (dst.label.app = web AND NOT dst.label.tier = db)"},
      {{"--from-label=app in (a, b),!old,new"},
       "src.label.app IN {a, b} AND src.label.old EMPTY AND NOT src.label.new EMPTY"},
      {{"--to-label=env notin (dev,test)"}, "NOT dst.label.env IN {dev, test}"},
      {{"--to-label=app.kubernetes.io/name==web"}, "dst.label.app.kubernetes.io/name = web"},
      {{"--to-label=a=", "--to-label=b"}, "dst.label.a = \"\" OR NOT dst.label.b EMPTY"},
      {{"--label=reserved:world"}, "type IN {net, ns}"},
      {{"--namespace=shop", "--label=app=web"},
       "(src.ns = shop AND src.label.app = web) OR (dst.ns = shop AND dst.label.app = web)"},
      {{"--workload=web"}, "workload = web"},
      {{"--from-workload=deploy/web"}, "src.kind = Deployment AND src.workload = web"},
      {{"--to-workload=Rollout/web"}, "dst.kind = Rollout AND dst.workload = web"},
      {{"--ip=10.0.0.0/8", "--ip=fd00::1"}, "ip IN {10.0.0.0/8, fd00::1}"},
      {{"--from-ip=10.1.1.1"}, "src.ip = 10.1.1.1"},
      {{"--ipv4"}, "ip = 0.0.0.0/0"},
      {{"--ipv4", "--ipv6"}, "ip = 0.0.0.0/0 OR ip = ::/0"},
      {{"--ip-version=v6"}, "ip = ::/0"},
      {{"--ip-version=none"}, ""},
      {{"--port=80", "--port=443"}, "port = 80 OR port = 443"},
      {{"--to-port=443", "--protocol=TCP"}, "dst.port = 443 AND proto = tcp"},
      {{"--protocol=icmp"}, "proto IN {icmp, icmp6}"},
      {{"--protocol=icmpv4"}, "proto = icmp"},
      {{"--protocol=icmpv6"}, "proto = icmp6"},
      {{"--protocol=132"}, "proto = sctp"},
      {{"--service=shop/web"}, "dest_service_namespace = shop AND svc = web"},
      {{"--to-service=web", "--namespace=shop"}, "ns = shop AND dest_service_namespace = shop AND svc = web"},
      {{"--to-fqdn=*.example.com"}, "domain = *.example.com"},
      {{"--verdict=DROPPED"}, "action = deny"},
      {{"--verdict=forwarded", "--verdict=DROPPED"}, "action = allow OR action = deny"},
      {{"--verdict=AUDIT"},
       R"-((action = allow AND policies.pending =~ "\|deny(\||$)") OR (action = deny AND NOT policies.pending EMPTY AND NOT policies.pending =~ "\|deny(\||$)"))-"},
      {{"--drop-reason-desc=POLICY_DENIED"}, "action = deny"},
      {{"--type=drop", "--type=trace:to-endpoint"}, "action = deny OR (action = allow AND reporter = dst)"},
      {{"--type=policy-verdict"}, "NOT policies.enforced EMPTY"},
      {{"--traffic-direction=Ingress"}, "reporter = dst"},
      {{"--node-name=k8s*", "--node-name=cluster/*.company.com"}, "host = k8s* OR host = *.company.com"},
      {{"--identity=host"}, "type = hep"},
      {{"--to-identity=world"}, "dst.type IN {net, ns}"},
      {{"--not", "--namespace=kube-system", "--verdict=DROPPED"}, "action = deny AND NOT ns = kube-system"},
      {{"--not", "--port=53", "--not", "--port=80"}, "NOT port = 53 AND NOT port = 80"},
      {{"--not", "--pod=shop/web"}, "NOT ((src.ns = shop AND src.pod = web*) OR (dst.ns = shop AND dst.pod = web*))"},
      {{"--not", "--to-label=!old"}, "NOT dst.label.old EMPTY"},
      {{"--not", "--from-all-namespaces"}, "NOT (NOT src.ns EMPTY)"},
      {{"--not", "--namespace=a", "--pod=b/x"},
       "((src.ns = b AND src.pod = x*) OR (dst.ns = b AND dst.pod = x*)) AND NOT ns = a"},
  };
  for (const Case& c : cases) {
    std::string name;
    for (const std::string& flag : c.flags) name += flag + " ";
    SCOPED_TRACE(name);
    const Result<std::string> filter = flow_filter(uses_of(c.flags), "");
    ASSERT_TRUE(filter.ok()) << filter.error().message;
    if (!filter.value().empty()) {
      const auto compiled = filter::Filter::compile(filter.value());
      EXPECT_TRUE(compiled.ok()) << filter.value() << ": " << compiled.error().message;
    }
    EXPECT_EQ(filter.value(), c.filter);
  }
}

TEST(FlowFlags, ExpressionIsAnded) {
  const auto filter_of = [](const std::vector<std::string>& flags, std::string_view expression) {
    const auto filter = flow_filter(uses_of(flags), expression);
    return filter.ok() ? filter.value() : "error: " + filter.error().message;
  };
  EXPECT_EQ(filter_of({}, "ns = a or ns = b"), "ns = a or ns = b");
  EXPECT_EQ(filter_of({"--port=1", "--port=2"}, "ns = a OR(ns = b)"), "(port = 1 OR port = 2) AND (ns = a OR(ns = b))");
  EXPECT_EQ(filter_of({}, "sorce_ip = 1"),
            "error: --filter: column 1: unknown field 'sorce_ip'; did you mean source_ip?");
}

TEST(FlowFlags, RefuseWhatCannotBeAnswered) {
  const Case cases[] = {
      {{"--tcp-flags=syn"},
       "--tcp-flags cannot be answered: a flow record adds up whole connections: use --filter 'tcp_resets > 0'"},
      {{"--cel-expression=true"}, "--cel-expression cannot be answered: use --filter"},
      {{"--trace-id=1"}, "--trace-id cannot be answered"},
      {{"--http-status=404"}, "--http-status cannot be answered"},
      {{"--from-fqdn=a"}, "use --from-ip"},
      {{"--identity=1234"}, "Weir has no numeric identities"},
      {{"--label=reserved:kube-apiserver"}, "--label: 'reserved:kube-apiserver' is not known"},
      {{"--verdict=REDIRECTED"}, "--verdict: 'REDIRECTED' is not a verdict of Weir: FORWARDED"},
      {{"--type=capture"}, "--type: 'capture' is not a type of flow records"},
      {{"--protocol=dns"}, "use `weir dns`"},
      {{"--protocol=quic"}, "--protocol: 'quic' is not a protocol"},
      {{"--to-port=http"}, "--to-port: 'http' is not a port number from 0 to 65535"},
      {{"--port=65536"}, "--port: '65536'"},
      {{"--ip=10.0.0"}, "--ip: '10.0.0' is not an IP address or CIDR block"},
      {{"--ip-version=5"}, "--ip-version: '5'"},
      {{"--label=a b"}, "--label: 'a b' is no label selector"},
      {{"--label="}, "--label: '' is no label selector"},
      {{"--drop-reason-desc=STALE_OR_UNROUTABLE_IP"}, "POLICY_DENIED"},
      {{"--traffic-direction=up"}, "ingress or egress"},
      {{"--pod=a/x", "--from-pod=a/y"}, "filters --pod and --from-pod cannot be combined"},
      {{"--port=1", "--to-port=2"}, "filters --port and --to-port cannot be combined"},
      {{"--label=a", "--to-label=b"}, "filters --label and --to-label cannot be combined"},
      {{"--namespace=a", "--all-namespaces"}, "filters --namespace and --all-namespaces cannot be combined"},
      {{"--verdict=FORWARDED", "--drop-reason-desc=POLICY_DENIED"},
       "filters --verdict and --drop-reason-desc cannot be combined"},
      {{"--namespace=shop", "--pod=bank/web"}, "namespace conflict: --pod bank/web is in none of the namespaces given"},
      {{"--nonsense=1"}, "unknown filter --nonsense"},
  };
  for (const Case& c : cases) {
    SCOPED_TRACE(c.flags.back());
    const Result<std::string> filter = flow_filter(uses_of(c.flags), "");
    ASSERT_FALSE(filter.ok()) << filter.value();
    EXPECT_EQ(filter.error().code, ErrorCode::kInvalidArgument);
    EXPECT_NE(filter.error().message.find(c.filter), std::string::npos) << filter.error().message;
  }
}

TEST(FlowFlags, EveryFlagIsAnsweredOrSaysWhatToUse) {
  for (const FilterFlag& flag : flow_flags()) {
    SCOPED_TRACE(flag.name);
    EXPECT_NE(flag.what.empty(), flag.instead.empty());
  }
}

TEST(FlowFlags, ThePageNamesEveryFlagAsTheTableDoes) {
  std::ifstream file(std::string(WEIR_SOURCE_DIR) + "/docs/cli.md");
  const std::string page{std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>()};
  for (const std::span<const FilterFlag> flags : {flow_flags(), dns_flags()}) {
    for (const FilterFlag& flag : flags) {
      const std::string name =
          "--" + std::string(flag.name) + (flag.value.empty() ? "" : " " + std::string(flag.value));
      const std::string cell = flag.short_name.empty() ? "" : "`" + std::string(flag.short_name) + "`, ";
      const std::string row = "| " + cell + "`" + name + "` | " + std::string(flag.what) + " |\n";
      const std::string want = flag.instead.empty() ? row : "`--" + std::string(flag.name) + "`";
      EXPECT_NE(page.find(want), std::string::npos) << want;
    }
  }
}

}  // namespace
}  // namespace weir::observe
