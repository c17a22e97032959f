#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "http/server.h"

namespace weir::api {

/// Who may do what: tokens from a file, one a line, `TOKEN [ROLE]` with the role `ingest`, `read` or `all` (default);
/// lines that begin with '#' are left out. Taken as a bearer token, as the password of basic authentication (whatever
/// the user), or as the key of an Elasticsearch ApiKey. Threads: check() may be called from several.
class Tokens {
 public:
  /// The file must be closed to others (mode 0600 or 0640).
  static Result<Tokens> load(const std::string& path);

  /// None: allowed. Comparing takes as long whatever is wrong.
  std::optional<http::Answer> check(const http::Request& request, const http::Route& route) const;

 private:
  struct Token {
    /// SHA-256: equally long, and nothing is learnt from how long comparing takes.
    std::string digest, role;
  };
  std::vector<Token> tokens_;
};

}  // namespace weir::api
