#pragma once

#include <sys/types.h>

#include <string>

namespace weir::app {

/// Whether standard output goes to a person's terminal.
bool stdout_is_terminal();
/// --color auto|always|never; auto follows NO_COLOR and TERM=dumb too.
bool wants_colour(const std::string& choice);

/// Standard output through a pager, as git does it: $WEIR_PAGER, else $PAGER, else `less -FRX`; none if that is "cat"
/// or empty, or if it cannot be started.
class Pager {
 public:
  /// Does nothing unless `wanted` and standard output is a terminal.
  explicit Pager(bool wanted);
  Pager(const Pager&) = delete;
  Pager& operator=(const Pager&) = delete;
  /// Closes standard output and waits until the person has read.
  ~Pager();

 private:
  pid_t child_ = -1;
};

/// A line of progress on standard error, while work takes long and a person looks on.
class Progress {
 public:
  explicit Progress(std::string what);
  Progress(const Progress&) = delete;
  Progress& operator=(const Progress&) = delete;
  ~Progress() { clear(); }
  /// `total` 0: not known. Draws at most ten times a second, the first time after half a second.
  void show(std::uint64_t done, std::uint64_t total);
  void clear();

 private:
  std::string what_;
  bool wanted_, drawn_ = false;
  std::int64_t next_ns_;
};

}  // namespace weir::app
