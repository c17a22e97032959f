// Any bytes as an event of a watch, a page of a list and a failure, of each kind, and the ledger that hears of it:
// never a crash.

#include <cstddef>
#include <cstdint>
#include <string_view>
#include <utility>

#include "cluster/ledger.h"
#include "cluster/watch_event.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace weir::cluster;
  if (size < 1) return 0;
  const auto kind =
      static_cast<ObjectKind>(data[0] % (static_cast<int>(ObjectKind::kCiliumClusterwideNetworkPolicy) + 1));
  const std::string_view text(reinterpret_cast<const char*>(data) + 1, size - 1);
  Ledger ledger(ClusterObjects{});
  std::int64_t time_ns = 1'800'000'000'000'000'000;
  const auto apply = [&](ClusterObject object, ObjectChange::Action action) {
    ledger.apply({action, true, time_ns += 1'000'000, std::move(object)});
  };
  if (auto event = read_watch_event(kind, text); event.ok() && event.value().object) {
    const bool put = event.value().type == WatchEvent::Type::kPut;
    apply(*event.value().object, put ? ObjectChange::Action::kPut : ObjectChange::Action::kDelete);
  }
  if (auto page = read_object_page(kind, text); page.ok()) {
    for (const ClusterObject& object : page.value().objects) apply(object, ObjectChange::Action::kPut);
    for (const auto* pod : ledger.pods()) {
      for (const weir::IpAddress& ip : pod->ips) {
        (void)ledger.owner_since(ip, time_ns, time_ns);
        (void)ledger.resolve(ip, pod->namespace_name, time_ns);
      }
    }
    for (ClusterObject& object : page.value().objects) apply(std::move(object), ObjectChange::Action::kDelete);
  }
  (void)read_api_failure(text);
  return 0;
}
