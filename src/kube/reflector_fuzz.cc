// Any bytes as the body of a list and of the watch after it, in pieces of any size: never a crash, and a watch cut into
// pieces tells what it tells in one.

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "kube/internal/reflector.h"

namespace {

using weir::cluster::ObjectChange;
using weir::kube::Reflector;

constexpr std::string_view kEmptyList = R"({"metadata":{"resourceVersion":"1"},"items":[]})";

std::vector<std::string> told(std::string_view list, std::string_view watch, std::size_t piece) {
  weir::kube::ReflectorOptions options;
  options.name = "pods";
  options.paths = {"/pods"};
  Reflector reflector(options, 1);
  std::int64_t now = 1'000'000'000'000;
  for (const std::string_view body : {list, kEmptyList}) {
    (void)reflector.next(now);
    (void)reflector.on_data(200, body, now, now);
    reflector.on_end(200, {}, 0, now, now);
    now += 100'000'000'000;
  }
  (void)reflector.next(now);
  reflector.on_answer(now);
  while (!watch.empty()) {
    const std::string_view part = watch.substr(0, piece);
    watch.remove_prefix(part.size());
    if (!reflector.on_data(200, part, now, now)) break;
  }
  reflector.on_end(200, {}, 0, now, now);
  std::vector<ObjectChange> changes;
  std::vector<std::string> lines;
  reflector.take_changes(changes);
  reflector.take_messages(lines);
  for (const ObjectChange& change : changes) {
    lines.push_back((change.action == ObjectChange::Action::kPut ? "+" : "-") + object_key(change.object, true));
  }
  return lines;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size < 1) return 0;
  const std::string_view text(reinterpret_cast<const char*>(data) + 1, size - 1);
  const std::size_t split = std::min(text.find('\0'), text.size());
  const std::string_view list = text.substr(0, split);
  const std::string_view watch = text.substr(std::min(split + 1, text.size()));
  if (told(list, watch, 1 + data[0]) != told(list, watch, size)) __builtin_trap();
  return 0;
}
