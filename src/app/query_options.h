#pragma once

#include <CLI/CLI.hpp>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "observe/filter_flag.h"
#include "observe/record_scan.h"
#include "observe/server_client.h"

namespace weir::app {

inline constexpr const char* kLogDirectory = "/var/log/weir";

inline constexpr const char* kDefaultServer = "http://127.0.0.1:4680";

/// Where records come from.
struct SourceOptions {
  std::string server, token_file, ca_file, certificate_file, key_file;
  bool insecure = false;
  /// Both records of a connection between two pods, not one.
  bool all_reporters = false;
  std::vector<std::string> files;

  void add_to(CLI::App& app);
  /// After parsing: the server, or none if files are to be read. Where nothing was named: the server of this machine if
  /// it answers, else this node's own logs, which is told.
  Result<std::optional<observe::ServerClient>> open(const char* command);

 private:
  CLI::Option* server_option_ = nullptr;
  Result<observe::ServerClient> client(const std::string& url) const;
};

/// Which times, as typed.
struct TimeOptions {
  std::string since, until;
  std::uint64_t first = 0, last = 0;
  bool all = false, follow = false;
  void add_range_to(CLI::App& app);
  void add_counts_to(CLI::App& app);
  /// Without any of them: the last 20; none if following.
  Status select(std::int64_t now, observe::Selection& selection) const;
};
inline constexpr std::uint64_t kDefaultLast = 20;

/// The filter flags of a command, with --not and --filter.
class FilterOptions {
 public:
  using Translate = Result<std::string> (*)(std::span<const observe::FlagUse> uses, std::string_view expression);
  FilterOptions(std::span<const observe::FilterFlag> flags, Translate translate)
      : known_(flags), translate_(translate) {}
  void add_to(CLI::App& app);
  /// After parsing: the one filter that all of them mean.
  Result<std::string> filter(const CLI::App& app) const;

 private:
  struct Flag {
    std::string_view name;
    CLI::Option* option = nullptr;
    /// Values of a flag that takes one.
    std::unique_ptr<std::vector<std::string>> values;
    /// Of one that takes none: how often it was given.
    std::unique_ptr<std::int64_t> count;
  };
  std::span<const observe::FilterFlag> known_;
  Translate translate_;
  std::vector<Flag> flags_;
  CLI::Option* not_ = nullptr;
  std::int64_t nots_ = 0;
  std::string expression_;
};

/// "weir observe: message" on standard error; the exit code that goes with the error.
int report(const char* command, const Error& error);

/// Words of a comma list, without blanks around them; empty words left out.
std::vector<std::string> split_list(std::string_view text);

}  // namespace weir::app
