#include "meter/dns_inspector.h"

#include <algorithm>
#include <utility>

namespace weir::meter {
namespace {

constexpr std::size_t kMinMessage = 12;
/// Different questions under one id between the same ends that are waited for: a bound for the search through them.
constexpr std::size_t kMaxQuestionsPerKey = 2048;

model::Tuple turned(const model::Tuple& t) { return {t.dest, t.source, t.dest_port, t.source_port, t.protocol}; }

bool same_name(const std::string& a, const std::string& b) {
  const auto lower = [](char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c + 32) : c; };
  return std::equal(a.begin(), a.end(), b.begin(), b.end(), [&](char x, char y) { return lower(x) == lower(y); });
}

bool same_question(const packet::DnsQuestion& a, const packet::DnsQuestion& b) {
  return a.type == b.type && a.qclass == b.qclass && same_name(a.name, b.name);
}

/// Cuts one direction of a TCP connection into messages (RFC 1035 4.2.2: a 2-byte length before each).
class Frames {
 public:
  /// Looks for a frame at the start of the next segments: after a gap, and when the stream's start was not seen.
  void lose() {
    lost_ = true;
    std::vector<std::uint8_t>().swap(buffer_);
  }

  template <typename OnMessage>
  void feed(std::span<const std::uint8_t> bytes, OnMessage&& on_message) {
    if (lost_) {
      if (bytes.size() < 2 || length(bytes) < kMinMessage || length(bytes) + std::size_t{2} > bytes.size()) return;
      lost_ = false;
    }
    while (!bytes.empty() && !lost_) {
      if (buffer_.empty() && bytes.size() >= 2 && bytes.size() >= length(bytes) + std::size_t{2}) {
        take(bytes.subspan(2, length(bytes)), on_message);
        bytes = bytes.subspan(length(bytes) + std::size_t{2});
        continue;
      }
      const std::size_t wanted = buffer_.size() < 2 ? 2 : length(buffer_) + std::size_t{2};
      const std::size_t taken = std::min(bytes.size(), wanted - buffer_.size());
      buffer_.insert(buffer_.end(), bytes.begin(), bytes.begin() + static_cast<std::ptrdiff_t>(taken));
      bytes = bytes.subspan(taken);
      if (buffer_.size() < 2 || buffer_.size() < length(buffer_) + std::size_t{2}) continue;
      const std::vector<std::uint8_t> whole = std::exchange(buffer_, {});
      take(std::span(whole).subspan(2), on_message);
    }
  }

 private:
  static std::uint16_t length(std::span<const std::uint8_t> bytes) {
    return static_cast<std::uint16_t>(bytes[0] << 8 | bytes[1]);
  }
  template <typename OnMessage>
  void take(std::span<const std::uint8_t> message, OnMessage&& on_message) {
    if (message.size() < kMinMessage) return lose();
    on_message(message);
  }

  bool lost_ = false;
  std::vector<std::uint8_t> buffer_;
};

}  // namespace

struct DnsInspector::TcpConnection {
  struct Direction {
    TcpStream stream;
    Frames frames;
    bool started = false;
    /// Sender to receiver.
    model::Tuple tuple;
  };
  explicit TcpConnection(const model::Tuple& tuple) {
    directions[0].tuple = tuple;
    directions[1].tuple = turned(tuple);
  }
  bool has(const model::Tuple& tuple) const { return tuple == directions[0].tuple || tuple == directions[1].tuple; }

  Direction directions[2];
};

struct DnsInspector::TcpSink {
  DnsInspector& inspector;
  TcpConnection::Direction& direction;

  void deliver(std::span<const std::uint8_t> bytes, std::int64_t time_ns) {
    if (!std::exchange(direction.started, true) && !direction.stream.from_start()) direction.frames.lose();
    direction.frames.feed(
        bytes, [&](std::span<const std::uint8_t> message) { inspector.on_message(message, direction.tuple, time_ns); });
  }
  void gap(std::uint64_t) {
    direction.started = true;
    direction.frames.lose();
  }
};

DnsInspector::DnsInspector(DnsInspectorOptions options) : options_(options) {}
DnsInspector::~DnsInspector() = default;

void DnsInspector::on_packet(const packet::DecodedPacket& packet, model::ConnectionSlot slot, bool forward) {
  if (packet.icmp_error) return;
  advance(packet.time_ns);
  if (packet.tuple.protocol == model::kProtoTcp) {
    if (packet.tcp_valid) on_tcp(packet, slot, forward);
  } else if (packet.fragment) {
    fragments_.accept(packet);
    take_datagrams();
  } else if (packet.payload_bytes > 0) {
    on_message({packet.payload, std::min(packet.payload_captured, packet.payload_bytes)}, packet.tuple, packet.time_ns);
  }
}

void DnsInspector::take_datagrams() {
  for (const FragmentBuffer::Datagram& datagram : fragments_.ready()) {
    const bool dns = is_dns_port(datagram.tuple.source_port) || is_dns_port(datagram.tuple.dest_port);
    if (dns) on_message(datagram.payload, datagram.tuple, datagram.time_ns);
  }
  fragments_.clear_ready();
}

void DnsInspector::on_tcp(const packet::DecodedPacket& packet, model::ConnectionSlot slot, bool forward) {
  if (packet.tuple.source_port != 53 && packet.tuple.dest_port != 53) return;
  auto found = tcp_.find(slot);
  if (found != tcp_.end() && !found->second->has(packet.tuple)) {
    // The slot was given to another connection before we heard of the first one's end.
    on_connection_end(slot);
    found = tcp_.end();
  }
  if (found == tcp_.end()) {
    if (tcp_.size() >= options_.max_tcp_connections) {
      if (packet.payload_bytes > 0) ++stats_.dropped_tcp_connections;
      return;
    }
    found = tcp_.emplace(slot, std::make_unique<TcpConnection>(packet.tuple)).first;
  }
  TcpConnection& connection = *found->second;
  const bool to_itself = packet.tuple == turned(packet.tuple);
  const bool first_way = to_itself ? forward : packet.tuple == connection.directions[0].tuple;
  TcpConnection::Direction& direction = connection.directions[first_way ? 0 : 1];
  TcpConnection::Direction& other = connection.directions[first_way ? 1 : 0];
  if ((packet.tcp_flags & packet::kTcpAck) != 0)
    other.stream.acknowledge(packet.tcp_ack, budget_, TcpSink{*this, other});
  direction.stream.accept(packet, budget_, TcpSink{*this, direction});
}

void DnsInspector::on_connection_end(model::ConnectionSlot slot) {
  const auto found = tcp_.find(slot);
  if (found == tcp_.end()) return;
  end_tcp(*found->second);
  tcp_.erase(found);
}

void DnsInspector::end_tcp(TcpConnection& connection) {
  for (TcpConnection::Direction& direction : connection.directions) {
    direction.stream.finish(budget_, TcpSink{*this, direction});
  }
}

void DnsInspector::on_message(std::span<const std::uint8_t> bytes, const model::Tuple& tuple, std::int64_t time_ns) {
  const bool unicast = tuple.source_port == 53 || tuple.dest_port == 53;
  if (!unicast && !options_.multicast) {
    ++stats_.multicast;
    return;
  }
  const packet::DnsParse parsed = packet::parse_dns(bytes, message_);
  if (parsed == packet::DnsParse::kNotDns) {
    ++stats_.not_dns;
    return;
  }
  if (parsed == packet::DnsParse::kMalformed) ++stats_.malformed;
  Key key{tuple.source, tuple.dest, tuple.source_port, tuple.dest_port, message_.id, tuple.protocol};
  if (message_.response) {
    std::swap(key.client, key.server);
    std::swap(key.client_port, key.server_port);
    ++stats_.responses;
    on_response(key, time_ns);
  } else {
    ++stats_.queries;
    if (unicast) on_query(key, time_ns);
  }
}

void DnsInspector::on_query(const Key& key, std::int64_t time_ns) {
  if (message_.questions.empty() || message_.questions.front().name.empty()) {
    ++stats_.no_question;
    return;
  }
  const packet::DnsQuestion& question = message_.questions.front();
  std::vector<Pending>& waiting = pending_[key];
  const auto again = std::find_if(waiting.begin(), waiting.end(),
                                  [&](const Pending& pending) { return same_question(pending.question, question); });
  if (again == waiting.end()) return wait_for_answer(key, waiting, time_ns);
  if (overdue(*again, time_ns)) report_timeout(key, *again);
  if (again->reported && time_ns - again->newest_ns >= kRetryNs) {
    waiting.erase(again);
    return wait_for_answer(key, waiting, time_ns);
  }
  again->newest_ns = time_ns;
  ++again->unanswered_sends;
}

void DnsInspector::wait_for_answer(const Key& key, std::vector<Pending>& waiting, std::int64_t time_ns) {
  if (waiting.size() >= kMaxQuestionsPerKey) {
    ++stats_.dropped_pending;
    return;
  }
  Pending pending;
  pending.sequence = next_sequence_++;
  pending.question = std::move(message_.questions.front());
  pending.first_ns = pending.newest_ns = time_ns;
  waiting.push_back(std::move(pending));
  // Not before what is waiting already, even where the time goes backwards.
  expiries_.push_back({std::max(time_ns, now_ns_) + options_.timeout_ns, next_sequence_ - 1, key});
  if (expiries_.size() + remembered_.size() > options_.max_pending) drop_oldest();
}

void DnsInspector::on_response(const Key& key, std::int64_t time_ns) {
  model::DnsTransaction done = transaction_of(key);
  done.answer_ns = time_ns;
  done.rcode = message_.rcode;
  done.answers = std::move(message_.answers);
  packet::DnsQuestion question;
  question.qclass = 0;
  const bool has_question = !message_.questions.empty() && !message_.questions.front().name.empty();
  if (!message_.questions.empty()) question = std::move(message_.questions.front());
  if (const auto found = pending_.find(key); found != pending_.end()) {
    std::vector<Pending>& waiting = found->second;
    const auto match = std::find_if(waiting.begin(), waiting.end(), [&](const Pending& pending) {
      return !has_question || same_question(pending.question, question);
    });
    if (match != waiting.end()) {
      if (overdue(*match, time_ns)) report_timeout(key, *match);
      if (!match->reported) {
        done.query_ns = match->first_ns;
      } else if (time_ns - match->newest_ns < options_.timeout_ns) {
        done.query_ns = match->newest_ns;
      }
      if (!has_question) question = match->question;
      match->answered = true;
      match->first_ns = match->newest_ns;  // a further answer is that of the newest retry
      if (--match->unanswered_sends == 0) waiting.erase(match);
    }
    if (waiting.empty()) pending_.erase(found);
  }
  if (done.query_ns == 0) ++stats_.unpaired_responses;
  done.qname = std::move(question.name);
  done.qtype = question.type;
  done.qclass = question.qclass;
  finished_.push_back(std::move(done));
}

void DnsInspector::advance(std::int64_t now_ns) {
  now_ns_ = std::max(now_ns_, now_ns);
  while (!expiries_.empty() && expiries_.front().due_ns <= now_ns_) expire_oldest();
  while (!remembered_.empty() && remembered_.front().due_ns <= now_ns_) forget_oldest();
}

void DnsInspector::expire_oldest() {
  Expiry expiry = expiries_.front();
  expiries_.pop_front();
  Pending* pending = find_pending(expiry);
  if (pending == nullptr) return;
  report_timeout(expiry.key, *pending);
  if (!pending->reported) return erase_pending(expiry);
  expiry.due_ns += kRetryNs;
  remembered_.push_back(expiry);
}

void DnsInspector::forget_oldest() {
  Expiry expiry = remembered_.front();
  remembered_.pop_front();
  const Pending* pending = find_pending(expiry);
  if (pending == nullptr) return;
  if (pending->newest_ns + kRetryNs <= now_ns_) return erase_pending(expiry);
  expiry.due_ns += kRetryNs;
  remembered_.push_back(expiry);
}

void DnsInspector::drop_oldest() {
  if (!remembered_.empty()) {
    erase_pending(remembered_.front());
    remembered_.pop_front();
    return;
  }
  stats_.dropped_pending += find_pending(expiries_.front()) != nullptr;
  erase_pending(expiries_.front());
  expiries_.pop_front();
}

DnsInspector::Pending* DnsInspector::find_pending(const Expiry& expiry) {
  const auto found = pending_.find(expiry.key);
  if (found == pending_.end()) return nullptr;
  for (Pending& pending : found->second) {
    if (pending.sequence == expiry.sequence) return &pending;
  }
  return nullptr;
}

void DnsInspector::erase_pending(const Expiry& expiry) {
  const auto found = pending_.find(expiry.key);
  if (found == pending_.end()) return;
  std::erase_if(found->second, [&](const Pending& pending) { return pending.sequence == expiry.sequence; });
  if (found->second.empty()) pending_.erase(found);
}

void DnsInspector::report_timeout(const Key& key, Pending& pending) {
  if (pending.answered || pending.reported) return;
  pending.reported = true;
  ++stats_.timeouts;
  model::DnsTransaction done = transaction_of(key);
  done.query_ns = pending.first_ns;
  done.qname = pending.question.name;
  done.qtype = pending.question.type;
  done.qclass = pending.question.qclass;
  done.rcode = model::DnsTransaction::kTimeout;
  finished_.push_back(std::move(done));
}

model::DnsTransaction DnsInspector::transaction_of(const Key& key) {
  model::DnsTransaction transaction;
  transaction.client = key.client;
  transaction.server = key.server;
  transaction.client_port = key.client_port;
  transaction.server_port = key.server_port;
  transaction.protocol = key.protocol;
  return transaction;
}

void DnsInspector::finish() {
  fragments_.finish();
  take_datagrams();
  // In order of slots: the output does not depend on the hash table.
  std::vector<model::ConnectionSlot> slots;
  for (const auto& [slot, connection] : tcp_) slots.push_back(slot);
  std::sort(slots.begin(), slots.end());
  for (const model::ConnectionSlot slot : slots) on_connection_end(slot);
  while (!expiries_.empty()) expire_oldest();
  remembered_.clear();
  pending_.clear();
}

DnsInspectorStats DnsInspector::stats() const {
  DnsInspectorStats stats = stats_;
  stats.dropped_fragments = fragments_.dropped();
  return stats;
}

}  // namespace weir::meter
