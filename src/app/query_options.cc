#include "app/query_options.h"

#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <map>

#include "base/file.h"
#include "base/text.h"
#include "observe/time_text.h"

namespace weir::app {

void SourceOptions::add_to(CLI::App& app) {
  server_option_ = app.add_option("--server", server,
                                  "address of a Weir server; else $WEIR_SERVER, else " + std::string(kDefaultServer))
                       ->envname("WEIR_SERVER")
                       ->type_name("URL")
                       ->group("Source");
  app.add_option("--token-file", token_file, "token for the server; else $WEIR_TOKEN")->group("Source");
  app.add_option("--tls-ca-cert-files", ca_file, "certificates (PEM) that the server's is checked with")
      ->group("Source");
  app.add_option("--tls-client-cert-file", certificate_file, "our own certificate (PEM)")->group("Source");
  app.add_option("--tls-client-key-file", key_file, "its private key (PEM)")->group("Source");
  app.add_flag("--tls-allow-insecure", insecure, "do not check the server's certificate")->group("Source");
  app.add_option("--input-file", files,
                 "read log files instead of asking a server: a node's flows.log (its rotated files are found), saved "
                 "JSON lines, a folder of logs, or - for standard input")
      ->allow_extra_args(false)
      ->group("Source");
  app.add_flag("--all-reporters", all_reporters,
               "server: both records of a connection between two pods, not one (files: always)")
      ->group("Source");
}

Result<observe::ServerClient> SourceOptions::client(const std::string& url) const {
  observe::ServerOptions options{url, {}, ca_file, certificate_file, key_file, insecure};
  if (!token_file.empty()) {
    TRY_ASSIGN(const FileBytes bytes, FileBytes::open(token_file));
    options.token = trim(bytes.text());
  } else if (const char* token = std::getenv("WEIR_TOKEN")) {
    options.token = token;
  }
  return observe::ServerClient::create(std::move(options));
}

Result<std::optional<observe::ServerClient>> SourceOptions::open(const char* command) {
  using Client = std::optional<observe::ServerClient>;
  if (!files.empty()) return Client();
  if (!server.empty()) {
    TRY_ASSIGN(observe::ServerClient named, client(server));
    return Client(std::move(named));
  }
  TRY_ASSIGN(observe::ServerClient local, client(kDefaultServer));
  if (local.is_there()) return Client(std::move(local));
  const std::string logs = std::string(kLogDirectory) + "/flows.log";
  if (::access(logs.c_str(), R_OK) != 0) {
    return Error{ErrorCode::kUnavailable, "no server answers at " + std::string(kDefaultServer) +
                                              ", and this node has no " + logs +
                                              ": name a server with --server, or files with --input-file"};
  }
  std::fprintf(stderr, "%s: no server answers at %s; reading %s\n", command, kDefaultServer, kLogDirectory);
  files = {kLogDirectory};
  return Client();
}

void TimeOptions::add_range_to(CLI::App& app) {
  app.add_option("--since,--from", since, "records from this time on: 10m (ago), 2006-01-02, RFC 3339, ...")
      ->group("Selection");
  app.add_option("--until,--to", until, "records before this time")->group("Selection");
}

void TimeOptions::add_counts_to(CLI::App& app) {
  auto* last_option = app.add_option("--last", last, "the last N records; 20 if nothing else is selected")
                          ->check(CLI::Range(std::uint64_t{1}, std::uint64_t{100'000'000}))
                          ->group("Selection");
  auto* first_option = app.add_option("--first", first, "the first N records")
                           ->check(CLI::Range(std::uint64_t{1}, std::uint64_t{100'000'000}))
                           ->group("Selection");
  auto* all_option = app.add_flag("--all", all, "all records")->group("Selection");
  auto* follow_option = app.add_flag("-f,--follow", follow, "and those to come")->group("Selection");
  first_option->excludes(last_option)->excludes(all_option)->excludes(follow_option);
  all_option->excludes(last_option);
}

Status TimeOptions::select(std::int64_t now, observe::Selection& selection) const {
  if (!since.empty()) {
    TRY_ASSIGN(selection.range.from, observe::parse_time(since, now));
  }
  if (!until.empty()) {
    if (follow) return invalid_argument("--until and --follow cannot be combined");
    TRY_ASSIGN(selection.range.to, observe::parse_time(until, now));
  }
  if (selection.range.from >= selection.range.to) return invalid_argument("--since is not before --until");
  if (first > 0) selection.first = first;
  if (last > 0) selection.last = last;
  const bool nothing = first == 0 && last == 0 && !all && since.empty() && until.empty();
  if (nothing) selection.last = follow ? 0 : kDefaultLast;
  return {};
}

void FilterOptions::add_to(CLI::App& app) {
  not_ = app.add_flag("--not", nots_, "exclude what the next filter selects")->group("Filters");
  for (const observe::FilterFlag& flag : known_) {
    std::string names = flag.short_name.empty() ? "" : std::string(flag.short_name) + ",";
    names.append("--").append(flag.name);
    // What cannot be answered is understood and refused, but not offered.
    const std::string group = flag.instead.empty() ? "Filters" : "";
    Flag& added = flags_.emplace_back();
    added.name = flag.name;
    if (flag.value.empty()) {
      added.count = std::make_unique<std::int64_t>(0);
      added.option = app.add_flag(names, *added.count, std::string(flag.what));
    } else {
      added.values = std::make_unique<std::vector<std::string>>();
      added.option = app.add_option(names, *added.values, std::string(flag.what))
                         ->allow_extra_args(false)
                         ->type_name(std::string(flag.value));
    }
    added.option->group(group);
  }
  app.add_option("--filter", expression_, "an expression of docs/filters.md, beside the flags")
      ->type_name("EXPR")
      ->group("Filters");
}

Result<std::string> FilterOptions::filter(const CLI::App& app) const {
  std::vector<observe::FlagUse> uses;
  std::map<const CLI::Option*, std::size_t> seen;
  bool negated = false;
  for (const CLI::Option* option : app.parse_order()) {
    if (option == not_) {
      if (negated) return invalid_argument("--not --not: it excludes what the next filter selects");
      negated = true;
      continue;
    }
    const auto flag = std::find_if(flags_.begin(), flags_.end(), [&](const Flag& f) { return f.option == option; });
    if (flag == flags_.end()) continue;
    const std::size_t at = seen[option]++;
    std::string_view value;
    if (flag->values && at < flag->values->size()) value = (*flag->values)[at];
    uses.push_back({flag->name, value, negated});
    negated = false;
  }
  if (negated) return invalid_argument("--not at the end: it excludes what the next filter selects");
  return translate_(uses, expression_);
}

int report(const char* command, const Error& error) {
  std::fprintf(stderr, "%s: %s\n", command, error.message.c_str());
  return error.code == ErrorCode::kInvalidArgument ? 2 : 1;
}

std::vector<std::string> split_list(std::string_view text) {
  std::vector<std::string> words;
  while (true) {
    const std::size_t comma = std::min(text.find(','), text.size());
    const std::string_view word = trim(text.substr(0, comma));
    if (!word.empty()) words.emplace_back(word);
    if (comma == text.size()) return words;
    text.remove_prefix(comma + 1);
  }
}

}  // namespace weir::app
