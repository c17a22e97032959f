#pragma once

#include <array>

#include "meter/internal/connection_entry.h"
#include "meter/meter.h"

namespace weir::meter {

/// Nanoseconds, by State.
inline std::array<std::int64_t, kStates> timeouts_by_state(const Timeouts& t) {
  std::array<std::int64_t, kStates> all{};
  const auto put = [&](State state, std::chrono::nanoseconds timeout) {
    all[static_cast<std::size_t>(state)] = timeout.count();
  };
  put(State::kTcpSynSent, t.tcp_syn_sent);
  put(State::kTcpSynRecv, t.tcp_syn_recv);
  put(State::kTcpEstablished, t.tcp_established);
  put(State::kTcpMidstream, t.generic);
  put(State::kTcpFinWait, t.tcp_fin_wait);
  put(State::kTcpCloseWait, t.tcp_close_wait);
  put(State::kTcpLastAck, t.tcp_last_ack);
  put(State::kTcpTimeWait, t.tcp_time_wait);
  put(State::kTcpClose, t.tcp_close);
  put(State::kUdp, t.udp);
  put(State::kUdpStream, t.udp_stream);
  put(State::kIcmp, t.icmp);
  put(State::kSctp, t.sctp);
  put(State::kGeneric, t.generic);
  return all;
}

}  // namespace weir::meter
