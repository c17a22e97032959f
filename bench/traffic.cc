#include "traffic.h"

#include <fmt/format.h>

#include <algorithm>
#include <functional>

namespace weir::bench {
namespace {

constexpr std::uint8_t kFin = 1, kSyn = 2, kRst = 4, kPsh = 8, kAck = 16;
constexpr const char* kKindNames[kKinds] = {"short_tcp", "long_tcp", "dns", "denied", "refused"};

std::uint32_t network_delay(Random& random) { return random.between(80, 400); }

void append_sums(std::string& out, const char* name, const Ledger::Sums& sums) {
  fmt::format_to(std::back_inserter(out), ",\n \"{}\": {{\"connections\": {}, \"packets\": {}, \"ip_bytes\": {}}}",
                 name, sums.connections, sums.packets, sums.ip_bytes);
}

void add(Ledger::Sums& sums, bool first, std::uint32_t ip_bytes) {
  sums.connections += first ? 1 : 0;
  ++sums.packets;
  sums.ip_bytes += ip_bytes;
}

void add_body(std::vector<Step>& steps, Random& random, const ScriptShape& shape) {
  const std::uint32_t body = random.between(shape.min_body, shape.max_body);
  for (std::uint32_t i = 0; i < body; ++i) {
    Step step;
    if (i % 24 == 0) {  // a request
      step = {i == 0 ? random.between(20, 200) : random.between(5'000, 900'000),
              static_cast<std::uint16_t>(random.between(120, std::min(700U, shape.max_payload))), kAck | kPsh, true};
    } else if (i % 4 == 2) {  // an acknowledgement
      step = {network_delay(random), 0, kAck, true};
    } else {
      step = {i % 24 == 1 ? random.between(300, 20'000) : random.between(5, 60),
              static_cast<std::uint16_t>(random.between(shape.max_payload / 3, shape.max_payload)), kAck | kPsh, false};
    }
    steps.push_back(step);
    if (step.payload_bytes > 0 && shape.retransmitted > 0 && random.chance(shape.retransmitted)) {
      step.gap_us = 200'000;
      step.retransmission = true;
      steps.push_back(step);
    }
  }
}

}  // namespace

std::vector<Step> tcp_steps(Random& random, const ScriptShape& shape) {
  std::vector<Step> steps;
  steps.push_back({0, 0, kSyn, true});
  steps.push_back({network_delay(random), 0, kSyn | kAck, false});
  steps.push_back({network_delay(random), 0, kAck, true});
  add_body(steps, random, shape);
  steps.push_back({network_delay(random), 0, kFin | kAck, true});
  steps.push_back({network_delay(random), 0, kFin | kAck, false});
  steps.push_back({network_delay(random), 0, kAck, true});
  return steps;
}

std::vector<Step> denied_steps(Random& random) {
  std::vector<Step> steps;
  const std::uint32_t attempts = random.between(1, 3);
  for (std::uint32_t i = 0; i < attempts; ++i) {
    steps.push_back({i == 0 ? 0 : i * 1'000'000, 0, kSyn, true, i > 0});
  }
  return steps;
}

std::vector<Step> refused_steps(Random& random) {
  return {{0, 0, kSyn, true}, {network_delay(random), 0, kRst | kAck, false}};
}

std::vector<Step> dns_steps(Random& random, std::size_t query, std::size_t answer) {
  std::vector<Step> steps{{0, static_cast<std::uint16_t>(query), 0, true}};
  if (answer > 0) steps.push_back({random.between(150, 5'000), static_cast<std::uint16_t>(answer), 0, false});
  return steps;
}

Status write_ledger(const Ledger& ledger, const std::string& extra, const std::string& path) {
  TRY_ASSIGN(OutputFile file, OutputFile::open(path));
  std::string& out = file.buffer();
  fmt::format_to(
      std::back_inserter(out),
      "{{\"connections\": {}, \"packets\": {}, \"ip_bytes\": {}, \"wire_bytes\": {}, \"file_packet_bytes\": {},\n"
      " \"packets_forward\": {}, \"packets_reverse\": {}, \"bytes_forward\": {}, \"bytes_reverse\": {},\n"
      " \"uniflows\": {}, \"ipv6_connections\": {}, \"retransmissions\": {}, \"first_us\": {}, \"last_us\": {}",
      ledger.total.connections, ledger.total.packets, ledger.total.ip_bytes, ledger.wire_bytes,
      ledger.file_packet_bytes, ledger.packets_forward, ledger.packets_reverse, ledger.bytes_forward,
      ledger.bytes_reverse, ledger.uniflows, ledger.ipv6_connections, ledger.retransmissions, ledger.first_us,
      ledger.last_us);
  append_sums(out, "tcp", ledger.tcp);
  append_sums(out, "udp", ledger.udp);
  for (std::size_t i = 0; i < kKinds; ++i) append_sums(out, kKindNames[i], ledger.kinds[i]);
  out += extra;
  out += "}\n";
  return file.close();
}

Status Timeline::open(Connection connection, std::int64_t start_us) {
  TRY(advance(start_us));
  const auto bits = random_.next();
  connection.tcp_next = {static_cast<std::uint32_t>(bits), static_cast<std::uint32_t>(bits >> 32)};
  ledger_.ipv6_connections += connection.source.is_v4() ? 0 : 1;
  std::uint32_t slot;
  if (free_.empty()) {
    slot = static_cast<std::uint32_t>(open_.size());
    open_.push_back(std::move(connection));
  } else {
    slot = free_.back();
    free_.pop_back();
    open_[slot] = std::move(connection);
  }
  schedule(slot, start_us);
  return {};
}

void Timeline::schedule(std::uint32_t slot, std::int64_t time_us) {
  due_.push_back({time_us, order_++, slot});
  std::push_heap(due_.begin(), due_.end(), std::greater<>());
}

Status Timeline::advance(std::int64_t until_us) {
  while (!due_.empty() && due_.front().time_us < until_us) {
    std::pop_heap(due_.begin(), due_.end(), std::greater<>());
    const Due due = due_.back();
    due_.pop_back();
    Connection& connection = open_[due.slot];
    TRY(emit(connection, due.time_us));
    if (connection.next < connection.steps.size()) {
      schedule(due.slot, due.time_us + connection.steps[connection.next].gap_us);
    } else {
      free_.push_back(due.slot);
    }
  }
  return {};
}

Status Timeline::emit(Connection& connection, std::int64_t time_us) {
  const bool first = connection.next == 0;
  const Step& step = connection.steps[connection.next++];
  const std::size_t side = step.forward ? 0 : 1;
  FrameSpec spec;
  spec.protocol = connection.protocol;
  spec.source = step.forward ? connection.source : connection.dest;
  spec.dest = step.forward ? connection.dest : connection.source;
  spec.source_port = step.forward ? connection.source_port : connection.dest_port;
  spec.dest_port = step.forward ? connection.dest_port : connection.source_port;
  spec.payload_bytes = step.payload_bytes;
  spec.tcp_flags = step.tcp_flags;
  if (connection.kind == Kind::kDns) {
    const std::string& message = step.forward ? connection.query : connection.answer;
    spec.payload = {reinterpret_cast<const std::uint8_t*>(message.data()), message.size()};
  }
  if (connection.protocol == 6) {
    const std::uint32_t advance = step.payload_bytes + ((step.tcp_flags & (kSyn | kFin)) != 0 ? 1U : 0U);
    spec.tcp_seq = connection.tcp_next[side] - (step.retransmission ? advance : 0);
    if (!step.retransmission) connection.tcp_next[side] += advance;
    if ((step.tcp_flags & kAck) != 0) spec.tcp_ack = connection.tcp_next[1 - side];
  }
  const Frame frame = builder_.build(spec);
  const bool cut = tcp_headers_only_ && connection.protocol == 6;
  const std::uint32_t kept = cut ? frame.header_bytes : frame.wire_bytes;
  if (ledger_.first_us == 0) ledger_.first_us = time_us;
  ledger_.last_us = time_us;
  ledger_.file_packet_bytes += kept;
  ledger_.uniflows += first || (!step.forward && !connection.answered) ? 1 : 0;
  connection.answered |= !step.forward;
  account(connection, step, first, frame);
  return writer_.write(time_us, frame, kept);
}

void Timeline::account(const Connection& connection, const Step& step, bool first, const Frame& frame) {
  add(ledger_.total, first, frame.ip_bytes);
  add(connection.protocol == 6 ? ledger_.tcp : ledger_.udp, first, frame.ip_bytes);
  add(ledger_.kinds[static_cast<std::size_t>(connection.kind)], first, frame.ip_bytes);
  (step.forward ? ledger_.packets_forward : ledger_.packets_reverse) += 1;
  (step.forward ? ledger_.bytes_forward : ledger_.bytes_reverse) += frame.ip_bytes;
  ledger_.wire_bytes += frame.wire_bytes;
  ledger_.retransmissions += step.retransmission ? 1 : 0;
}

}  // namespace weir::bench
