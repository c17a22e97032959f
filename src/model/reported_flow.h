#pragma once

#include <cstdint>
#include <span>
#include <string_view>

#include "model/connection.h"
#include "model/endpoint.h"
#include "model/policy_trace.h"

namespace weir::model {

/// Which end's node reports: the source's (egress policy), the destination's (ingress policy), or a host that forwards.
enum class Reporter : std::uint8_t { kSource, kDest, kForward };
const char* to_string(Reporter reporter);

/// Where the verdict comes from: a rule hit seen in the data plane; policy objects evaluated by us; nothing known of
/// policy, but packets passed.
enum class VerdictSource : std::uint8_t { kDataplane, kComputed, kObserved };
const char* to_string(VerdictSource source);

/// One side's report of one connection: what collect hands to aggregate.
///
/// A connection is reported under one key (endpoints, service, action, trace) from a report with `starts` to one with
/// `ends`; when its verdict or endpoints move, it ends under the old key and starts under the new one.
/// All pointers are borrowed and outlive the window; spans only live for the call.
struct ReportedFlow {
  Tuple tuple;
  /// Never null.
  const Endpoint* source = nullptr;
  const Endpoint* dest = nullptr;
  /// Null: no service was addressed.
  const ServiceRef* service = nullptr;
  /// Null: policies are not known or not included.
  const PolicyTrace* enforced = nullptr;
  const PolicyTrace* pending = nullptr;

  Reporter reporter = Reporter::kSource;
  Action action = Action::kAllow;
  VerdictSource verdict_source = VerdictSource::kObserved;

  /// First report under this key; last one. A short connection has both.
  bool starts = false;
  bool ends = false;
  /// The flow already ended in an earlier window and only trailing counters come: one more flow, not started.
  bool trailing = false;

  /// Set once a connection, on the report that learns it; kUnknown otherwise.
  Outcome outcome = Outcome::kUnknown;

  /// As the reporter sees it: out leaves the reporting side.
  std::uint64_t packets_in = 0, packets_out = 0, bytes_in = 0, bytes_out = 0;
  TcpSample tcp;
  std::uint16_t nat_port = 0;
  /// The process at the reporting side, the same for all reports of a connection; 0: not known.
  std::uint32_t process_id = 0;
  ProcessName process_name{};

  /// Client addresses behind a proxy, from HTTP headers; new ones since the last report.
  std::span<const IpAddress> original_source_ips;
  /// Domain names that the client looked up and that resolved to the destination; empty unless reporter is source.
  std::span<const std::string_view> dest_domains;
};

}  // namespace weir::model
