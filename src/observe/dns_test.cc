#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "filter/filter.h"
#include "flowlog/log_readers.h"
#include "observe/dns_flags.h"
#include "observe/dns_printer.h"

namespace weir::observe {
namespace {

TEST(DnsFlags, BecomeFilters) {
  const struct {
    std::vector<FlagUse> uses;
    std::string filter;
  } cases[] = {{{}, ""},
               {{{"namespace", "shop"}, {"namespace", "bank"}}, "ns = shop OR ns = bank"},
               {{{"pod", "web"}}, "ns = default AND pod = web*"},
               {{{"pod", "shop/web"}, {"rcode", "nxdomain"}}, "ns = shop AND pod = web* AND rcode = NXDomain"},
               {{{"all-namespaces", ""}, {"pod", "web"}}, "pod = web* AND NOT ns EMPTY"},
               {{{"label", "app=web"}, {"qtype", "aaaa"}}, "label.app = web AND qtype = AAAA"},
               {{{"fqdn", "*.example.com."}}, "qname = *.example.com"},
               {{{"name", "."}}, "qname = ."},
               {{{"failed", ""}}, "rcode != NoError"},
               {{{"failed", "", true}}, "NOT rcode != NoError"},
               {{{"nameserver", "10.96.0.10"}, {"ip", "10.0.0.0/8"}}, "ip = 10.0.0.0/8 AND server = 10.96.0.10"},
               {{{"slower-than", "10ms"}}, "latency_max > 10000000"},
               {{{"answer", "203.0.113.*"}}, "answer = 203.0.113.*"},
               {{{"namespace", "kube-system", true}}, "NOT ns = kube-system"}};
  for (const auto& c : cases) {
    const Result<std::string> filter = dns_filter(c.uses, "");
    ASSERT_TRUE(filter.ok()) << filter.error().message;
    EXPECT_EQ(filter.value(), c.filter);
    if (!c.filter.empty()) {
      EXPECT_TRUE(filter::Filter::compile(c.filter, model::LogType::kDns).ok()) << c.filter;
    }
  }
  EXPECT_EQ(dns_filter({}, "qname = a OR qname = b").value(), "qname = a OR qname = b");
  EXPECT_FALSE(dns_filter({}, "bytes_in > 1").ok()) << "of the other log";
  const std::vector<FlagUse> contradiction{{"namespace", "a"}, {"all-namespaces", ""}};
  EXPECT_FALSE(dns_filter(contradiction, "").ok());
  const std::vector<FlagUse> no_duration{{"slower-than", "long"}};
  EXPECT_FALSE(dns_filter(no_duration, "").ok());
}

constexpr std::string_view kLookup =
    R"({"start_time":0,"end_time":300,"type":"LOG","count":3,"client_ip":null,"client_name":"-","client_name_aggr":"web-*",)"
    R"("client_namespace":"shop","qname":"api.example","qtype":"A","qclass":"IN","rcode":"NoError","rrsets":[{"name":)"
    R"("api.example","type":"A","class":"IN","rdata":["203.0.113.1","203.0.113.2","203.0.113.3","203.0.113.4"]}],)"
    R"("servers":[{"ip":"10.96.0.10","name":"-","name_aggr":"coredns-*","namespace":"kube-system"}],)"
    R"("latency_count":3,"latency_mean":420000,"latency_max":1200000})";
constexpr std::string_view kUnlogged = R"({"start_time":0,"end_time":300,"type":"UNLOGGED","count":17})";

std::string print(Format format) {
  PrintOptions options;
  options.format = format;
  options.time = parse_time_format("%s").value();
  DnsPrinter printer(std::move(options));
  flowlog::LogReader<model::DnsRecord> reader;
  std::string out;
  printer.begin(out);
  for (const std::string_view line : {kLookup, kUnlogged}) {
    const auto record = reader.read(line);
    EXPECT_TRUE(record.ok()) << record.error().message;
    printer.print(*record.value(), line, "", out);
  }
  printer.end(out);
  return out;
}

TEST(DnsPrinter, Prints) {
  EXPECT_EQ(print(Format::kCompact),
            "0: shop/web-* -> kube-system/coredns-* api.example A NoError (3 lookups, 0.42 ms mean, 1.20 ms max; "
            "203.0.113.1, 203.0.113.2, 203.0.113.3 +1)\n"
            "0: 17 lookups above the limit were not logged\n");
  EXPECT_EQ(print(Format::kJson), std::string(kLookup) + "\n" + std::string(kUnlogged) + "\n");
  const std::string table = print(Format::kTable);
  EXPECT_NE(table.find("CLIENT"), std::string::npos);
  EXPECT_NE(table.find("not logged: above the limit"), std::string::npos);
  EXPECT_NE(print(Format::kDict).find("    RCODE: NoError\n    COUNT: 3\n"), std::string::npos);
  EXPECT_TRUE(print(Format::kCsv).starts_with("start_time,end_time,type,count,client_ip,"));
}

}  // namespace
}  // namespace weir::observe
