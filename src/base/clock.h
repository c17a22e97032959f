#pragma once

#include <cstdint>
#include <ctime>

namespace weir {

/// One of the kernel's clocks (clock_gettime(2)) in nanoseconds; CLOCK_REALTIME counts since the Unix epoch.
inline std::int64_t clock_ns(clockid_t clock) {
  timespec time{};
  ::clock_gettime(clock, &time);
  return std::int64_t{time.tv_sec} * 1'000'000'000 + time.tv_nsec;
}

}  // namespace weir
