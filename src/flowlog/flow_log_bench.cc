#include <benchmark/benchmark.h>
#include <rapidjson/stringbuffer.h>
#include <rapidjson/writer.h>

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <type_traits>
#include <vector>

#include "flowlog/flow_log.h"
#include "flowlog/flow_log_reader.h"
#include "model/fields.h"
#include "model/protocol.h"

// The writer with and without remembered fragments, against RapidJSON's SAX writer over the same field table, on the
// same records: 200 workloads, level 2, labels and traces of usual size. Every variant must write the same bytes.

namespace weir::flowlog {
namespace {

using model::FlowRecord;

class Records {
 public:
  Records() {
    for (std::size_t i = 0; i < kWorkloads; ++i) {
      const std::string n = std::to_string(i);
      names_.push_back("checkout-service-" + n + "-6b687c8dcb-*");
      workloads_.push_back("checkout-service-" + n);
      labels_.push_back({{"app.kubernetes.io/instance=checkout-" + n, "app.kubernetes.io/name=checkout-service",
                          "environment=production", "pod-template-hash=6b687c8dcb", "team=payments"}});
      traces_.push_back(
          {{"0|platform|platform.default-pass|pass|3", "1|default|shop-" + n + "/default.allow-checkout|allow|2"},
           model::Action::kAllow});
    }
    addresses_.push_back(IpAddress::parse("203.0.113.19").value());
    for (std::size_t i = 0; i < kRecords; ++i) records_.push_back(make(i));
  }
  const FlowRecord& operator[](std::size_t i) const { return records_[i % kRecords]; }

 private:
  static constexpr std::size_t kWorkloads = 200, kRecords = 4096;

  FlowRecord make(std::size_t i) {
    const std::size_t source = i * 7919 % kWorkloads, dest = i * 104729 / 3 % kWorkloads;
    FlowRecord r;
    r.start_time = 1597166083;
    r.end_time = 1597166383;
    r.protocol = 6;
    r.verdict_source = "computed";
    r.aggregation_level = 2;
    r.source_name_aggr = names_[source];
    r.source_namespace = "shop-frontend";
    r.source_type = "wep";
    r.source_workload = workloads_[source];
    r.source_workload_kind = "Deployment";
    r.source_labels = &labels_[source];
    r.source_identity = &names_[source];
    r.dest_name_aggr = names_[dest];
    r.dest_namespace = "shop-backend";
    r.dest_type = "wep";
    r.dest_workload = workloads_[dest];
    r.dest_workload_kind = "Deployment";
    r.dest_labels = &labels_[dest];
    r.dest_identity = &names_[dest];
    r.dest_port = 8080;
    r.dest_service_namespace = "shop-backend";
    r.dest_service_name = workloads_[dest];
    r.dest_service_port_name = "http";
    r.dest_service_port_num = 80;
    r.policies = {&traces_[dest], &traces_[dest]};
    r.num_flows = 47 + i % 100;
    r.num_flows_started = 40;
    r.num_flows_completed = 40 + i % 7;
    r.num_flows_established = 40;
    r.packets_in = 282 + i;
    r.packets_out = 239 + i;
    r.bytes_in = 182360 + i * 31;
    r.bytes_out = 525190 + i * 77;
    if (i % 4 == 0) {
      r.dest_external_ips = addresses_;
      r.num_dest_external_ips = 1;
    }
    r.tcp_mean_smooth_rtt = 312;
    r.tcp_max_smooth_rtt = 901 + i % 1000;
    r.tcp_mean_min_rtt = 44;
    r.tcp_max_min_rtt = 90;
    r.tcp_mean_mss = 1410;
    r.tcp_min_mss = 1398;
    return r;
  }

  std::vector<std::string> names_, workloads_;
  std::vector<model::LabelSet> labels_;
  std::vector<model::PolicyTrace> traces_;
  std::vector<IpAddress> addresses_;
  std::vector<FlowRecord> records_;
};

/// RapidJSON as a careful user would drive it: one reused buffer and writer, lengths given, numbers as numbers.
class RapidWriter {
 public:
  std::string_view write(const FlowRecord& record) {
    buffer_.Clear();
    writer_.Reset(buffer_);
    writer_.StartObject();
    model::for_each_flow_field([&](const auto& field) {
      writer_.Key(field.name.data(), static_cast<rapidjson::SizeType>(field.name.size()));
      if (field.kind == model::FieldKind::kProtocol) {
        text(model::protocol_name(record.protocol));
      } else {
        value(field.get(record));
      }
    });
    writer_.EndObject();
    return {buffer_.GetString(), buffer_.GetSize()};
  }

 private:
  void text(std::string_view s) { writer_.String(s.data(), static_cast<rapidjson::SizeType>(s.size())); }
  void value(std::string_view s) { text(s); }
  void value(std::uint64_t n) { writer_.Uint64(n); }
  void value(std::uint16_t n) { writer_.Uint(n); }
  void value(std::uint8_t n) { writer_.Uint(n); }
  void value(std::int64_t n) { writer_.Int64(n); }
  void value(const IpAddress& ip) {
    char digits[kMaxIpText];
    text({digits, static_cast<std::size_t>(ip.format(digits) - digits)});
  }
  template <typename T>
  void value(const std::optional<T>& v) {
    v.has_value() ? value(*v) : void(writer_.Null());
  }
  template <typename List>
  void list(const List& values) {
    writer_.StartArray();
    for (const auto& v : values) value(v);
    writer_.EndArray();
  }
  template <typename T>
  void value(std::span<const T> values) {
    values.empty() ? void(writer_.Null()) : list(values);
  }
  void value(const model::LabelSet* labels) {
    if (labels == nullptr) return void(writer_.Null());
    writer_.StartObject();
    writer_.Key("labels", 6);
    list(labels->pairs);
    writer_.EndObject();
  }
  void value(const model::PolicyTraces& policies) {
    writer_.StartObject();
    writer_.Key("enforced_policies", 17);
    list(policies.enforced->entries);
    writer_.Key("pending_policies", 16);
    list(policies.pending->entries);
    writer_.EndObject();
  }

  rapidjson::StringBuffer buffer_;
  rapidjson::Writer<rapidjson::StringBuffer> writer_{buffer_};
};

const Records& records() {
  static const Records records;
  return records;
}

void write_lines(benchmark::State& state, FlowLogOptions options) {
  FlowLogWriter writer(options);
  RapidWriter rapid;
  std::string out;
  writer.append(records()[0], out);
  if (out != std::string(rapid.write(records()[0])) + '\n') return state.SkipWithError("the writers disagree");
  std::size_t i = 0;
  std::int64_t bytes = 0;
  for (auto _ : state) {
    out.clear();
    writer.append(records()[i++], out);
    bytes += static_cast<std::int64_t>(out.size());
    benchmark::DoNotOptimize(out.data());
  }
  state.SetItemsProcessed(state.iterations());
  state.SetBytesProcessed(bytes);
}

void BM_Fragments(benchmark::State& state) { write_lines(state, {}); }
void BM_NoFragments(benchmark::State& state) { write_lines(state, {.fragments = false}); }
void BM_RapidJson(benchmark::State& state) {
  RapidWriter writer;
  std::string out;
  std::size_t i = 0;
  for (auto _ : state) {
    out.assign(writer.write(records()[i++]));
    out += '\n';
    benchmark::DoNotOptimize(out.data());
  }
  state.SetItemsProcessed(state.iterations());
}
void BM_Read(benchmark::State& state) {
  FlowLogWriter writer;
  FlowLogReader reader;
  std::string line;
  writer.append(records()[1], line);
  for (auto _ : state) benchmark::DoNotOptimize(reader.read(line).ok());
  state.SetBytesProcessed(state.iterations() * static_cast<std::int64_t>(line.size()));
}

BENCHMARK(BM_RapidJson);
BENCHMARK(BM_NoFragments);
BENCHMARK(BM_Fragments);
BENCHMARK(BM_Read);

}  // namespace
}  // namespace weir::flowlog
