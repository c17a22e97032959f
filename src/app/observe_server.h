#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "app/output_options.h"
#include "app/pager.h"
#include "base/file.h"
#include "base/result.h"
#include "observe/record_scan.h"
#include "observe/server_client.h"

namespace weir::app {

/// What is asked of a server.
struct ServerQuestion {
  std::string log = "flows";
  observe::Selection selection;
  bool deduplicate = true;
  bool follow = false;
};

/// from, to, filter, dedupe of the API.
observe::ServerClient::Parameters parameters_of(const ServerQuestion& question);

/// Gives the lines of the answer, oldest first; false from `on_line`: enough. Tells on standard error how complete the
/// answer is.
Status ask_rows(observe::ServerClient& client, const ServerQuestion& question,
                const std::function<bool(std::string_view)>& on_line);

/// Follows the live stream, across lost connections, until `on_idle` (after each piece that came) is false.
Status follow_rows(const char* command, observe::ServerClient& client, const ServerQuestion& question,
                   const std::function<void(std::string_view)>& on_line, const std::function<bool()>& on_idle);

/// Prints what a server answers, as print_files() does files.
template <model::LogType kLog, typename Printer>
Result<int> print_server(const char* command, observe::ServerClient& client, const ServerQuestion& question,
                         observe::PrintOptions print, bool pager) {
  TRY_ASSIGN(OutputFile out, OutputFile::open("-"));
  const Pager paged(pager && !question.follow && is_for_people(print.format));
  Printer printer(std::move(print));
  typename observe::RecordScan<kLog>::Reader reader;
  Status failure;
  const auto print_line = [&](std::string_view line) {
    const auto record = reader.read(line);
    if (!record.ok()) {
      failure = record.error();
      return false;
    }
    const std::string_view host = record.value()->host;
    printer.print(*record.value(), line, host == "-" ? std::string_view() : host, out.buffer());
    failure = out.flush_if_large();
    return failure.ok();
  };
  printer.begin(out.buffer());
  if (question.follow) {
    TRY(follow_rows(command, client, question, print_line, [&] {
      if (failure.ok()) failure = out.flush();
      return failure.ok();
    }));
  } else {
    TRY(ask_rows(client, question, print_line));
  }
  TRY(failure);
  printer.end(out.buffer());
  TRY(out.close());
  return 0;
}

}  // namespace weir::app
