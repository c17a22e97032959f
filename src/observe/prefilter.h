#pragma once

#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

#include "filter/expression.h"

namespace weir::observe {

/// Finds the lines of a log that may pass a filter, without parsing them: by texts one of which a line that passes
/// must hold. It never passes over a line that the filter would take, as long as the line is JSON whose numbers have no
/// exponent and whose only white space is blanks; a line with a blank or a backslash (both may hide such a text) is
/// always given.
class Prefilter {
 public:
  /// Gives every line.
  Prefilter() = default;
  static Prefilter of(const filter::Expression& expression);

  /// Texts of which a line must hold one, for each clause. The first clause is the one to search for.
  using Clause = std::vector<std::string>;
  const std::vector<Clause>& clauses() const { return clauses_; }
  /// Puts first the clause that the fewest of these lines hold, and forgets those that most hold.
  void tune(std::string_view lines);

  /// Goes through the lines of one block.
  class Search {
   public:
    /// `lines`: whole lines. Both outlive the search.
    Search(const Prefilter& prefilter, std::string_view lines);
    /// The next line that may pass, without its newline; data() is null at the end.
    std::string_view next();

   private:
    std::size_t candidate();
    std::string_view line_at(std::size_t at);
    const Prefilter& prefilter_;
    std::string_view lines_;
    std::size_t at_ = 0;
    /// Next places of the first clause's texts, of blanks and of backslashes: at or behind at_, or to be found anew.
    std::vector<std::size_t> places_;
  };

 private:
  bool holds_all(std::string_view line) const;
  std::vector<Clause> clauses_;
};

}  // namespace weir::observe
