#include "app/observe_server.h"

#include <poll.h>

#include <algorithm>
#include <cstdio>
#include <ctime>
#include <limits>

namespace weir::app {
namespace {

constexpr std::int64_t kHour = 3600, kDay = 86'400;
constexpr std::uint64_t kMostBefore = 100'000;
constexpr int kRetryMs = 2'000;

/// Who asked for no begin knows that there is one.
void tell_completeness(const observe::ServerReply& reply, const observe::TimeRange& asked) {
  std::fputs(observe::completeness_text(reply.completeness, asked.from > 0).c_str(), stderr);
}

/// The newest rows, oldest first. Most often they are young: looks back an hour, a day, and then at everything.
Status ask_last(observe::ServerClient& client, const ServerQuestion& question,
                const std::function<bool(std::string_view)>& on_line) {
  const std::uint64_t count = *question.selection.last;
  const std::int64_t now = std::time(nullptr);
  const bool open = question.selection.range.from == 0;
  std::vector<std::string> newest_first;
  for (const std::int64_t back : {kHour, kDay, now}) {
    ServerQuestion part = question;
    if (open) part.selection.range.from = std::min(now, part.selection.range.to) - back;
    newest_first.clear();
    std::string cursor;
    TRY_ASSIGN(const observe::ServerReply reply,
               client.get_rows(part.log, parameters_of(part), count, cursor, [&](std::string_view line) {
                 newest_first.emplace_back(line);
                 return newest_first.size() < count;
               }));
    if (newest_first.size() < count && open && back != now) continue;
    tell_completeness(reply, question.selection.range);
    break;
  }
  for (auto line = newest_first.rbegin(); line != newest_first.rend() && on_line(*line); ++line) {
  }
  return {};
}

}  // namespace

observe::ServerClient::Parameters parameters_of(const ServerQuestion& question) {
  const observe::TimeRange& range = question.selection.range;
  observe::ServerClient::Parameters parameters{{"from", std::to_string(std::max<std::int64_t>(range.from, 0))}};
  if (range.to != std::numeric_limits<std::int64_t>::max()) parameters.emplace_back("to", std::to_string(range.to));
  if (!question.selection.filter.empty()) parameters.emplace_back("filter", question.selection.filter);
  if (!question.deduplicate) parameters.emplace_back("dedupe", "false");
  return parameters;
}

Status ask_rows(observe::ServerClient& client, const ServerQuestion& question,
                const std::function<bool(std::string_view)>& on_line) {
  if (question.selection.last) return ask_last(client, question, on_line);
  observe::ServerClient::Parameters parameters = parameters_of(question);
  parameters.emplace_back("order", "start_time");
  const std::uint64_t limit = question.selection.first.value_or(std::numeric_limits<std::uint64_t>::max());
  std::string cursor;
  TRY_ASSIGN(const observe::ServerReply reply, client.get_rows(question.log, parameters, limit, cursor, on_line));
  tell_completeness(reply, question.selection.range);
  return {};
}

Status follow_rows(const char* command, observe::ServerClient& client, const ServerQuestion& question,
                   const std::function<void(std::string_view)>& on_line, const std::function<bool()>& on_idle) {
  observe::ServerClient::Parameters parameters = parameters_of(question);
  // Without a range the stream gives only what comes.
  const std::uint64_t before = question.selection.last.value_or(kMostBefore);
  if (before == 0) {
    parameters.erase(parameters.begin());
  } else {
    parameters.emplace_back("limit", std::to_string(std::min(before, kMostBefore)));
  }
  std::string last_id;
  bool go_on = true;
  const auto on_event = [&](const observe::ServerClient::Event& event) {
    if (event.name == "lost") {
      std::fprintf(stderr, "EVENTS LOST: %s (we were too slow)\n", event.data.c_str());
    } else if (event.name.empty() || event.name == "message") {
      on_line(event.data);
    }
  };
  bool connected = false;
  while (true) {
    const Status done = client.follow(parameters, last_id, on_event, [&] {
      connected = true;
      return go_on = on_idle();
    });
    if (!go_on) return {};
    // What was refused will be again; who never answered is told of at once.
    if (!done.ok() && (!connected || done.error().code != ErrorCode::kUnavailable)) return done;
    std::fprintf(stderr, "%s: %s; trying again\n", command,
                 done.ok() ? "the server ended the stream" : done.error().message.c_str());
    ::poll(nullptr, 0, kRetryMs);
  }
}

}  // namespace weir::app
