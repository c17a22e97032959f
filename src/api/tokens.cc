#include "api/tokens.h"

#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <sys/stat.h>

#include <algorithm>

#include "base/file.h"
#include "base/text.h"

namespace weir::api {
namespace {

constexpr std::size_t kMinToken = 16;

std::string digest_of(std::string_view text) {
  unsigned char digest[EVP_MAX_MD_SIZE];
  unsigned size = 0;
  CHECK(EVP_Digest(text.data(), text.size(), digest, &size, EVP_sha256(), nullptr) == 1);
  return {reinterpret_cast<const char*>(digest), size};
}

std::string decode_base64(std::string_view text) {
  std::string out(text.size() / 4 * 3 + 3, '\0');
  const int size = EVP_DecodeBlock(reinterpret_cast<unsigned char*>(out.data()),
                                   reinterpret_cast<const unsigned char*>(text.data()), static_cast<int>(text.size()));
  if (size < 0) return {};
  std::size_t padding = 0;
  while (padding < 2 && padding < text.size() && text[text.size() - 1 - padding] == '=') ++padding;
  out.resize(static_cast<std::size_t>(size) - padding);
  return out;
}

/// What the client shows, in whatever form.
std::string shown_token(const http::Request& request) {
  const std::string_view header = request.header("authorization");
  const std::size_t blank = header.find(' ');
  if (blank == std::string_view::npos || header.size() > 4096) return {};
  const std::string_view scheme = header.substr(0, blank), value = trim(header.substr(blank));
  if (equal_ignoring_case(scheme, "bearer")) return std::string(value);
  if (!equal_ignoring_case(scheme, "basic") && !equal_ignoring_case(scheme, "apikey")) return {};
  const std::string pair = decode_base64(value);
  const std::size_t colon = pair.find(':');
  return colon == std::string::npos ? std::string() : pair.substr(colon + 1);
}

}  // namespace

Result<Tokens> Tokens::load(const std::string& path) {
  struct stat info {};
  if (::stat(path.c_str(), &info) != 0) return errno_error("open", path);
  if ((info.st_mode & (S_IWGRP | S_IRWXO)) != 0) {
    return invalid_argument(path + ": others may read or change it; chmod 600 " + path);
  }
  TRY_ASSIGN(const FileBytes file, FileBytes::open(path));
  Tokens tokens;
  std::string_view rest = file.text();
  for (int number = 1; !rest.empty(); ++number) {
    const std::size_t end = std::min(rest.find('\n'), rest.size());
    const std::string_view line = trim(rest.substr(0, end));
    rest.remove_prefix(std::min(end + 1, rest.size()));
    if (line.empty() || line.starts_with('#')) continue;
    const std::size_t blank = std::min(line.find_first_of(" \t"), line.size());
    const std::string_view token = line.substr(0, blank), role = trim(line.substr(blank));
    const std::string where = path + ":" + std::to_string(number);
    if (token.size() < kMinToken) return invalid_argument(where + ": a token has at least 16 characters");
    if (!role.empty() && role != "ingest" && role != "read" && role != "all") {
      return invalid_argument(where + ": the role '" + std::string(role.substr(0, 40)) +
                              "' is none of ingest, read, all");
    }
    tokens.tokens_.push_back({digest_of(token), role.empty() ? "all" : std::string(role)});
  }
  if (tokens.tokens_.empty()) return invalid_argument(path + ": it has no token");
  return tokens;
}

std::optional<http::Answer> Tokens::check(const http::Request& request, const http::Route& route) const {
  if (route.role.empty()) return std::nullopt;
  const std::string shown = shown_token(request);
  const std::string digest = digest_of(shown);
  bool known = false, allowed = false;
  for (const Token& token : tokens_) {
    const bool same = CRYPTO_memcmp(token.digest.data(), digest.data(), digest.size()) == 0;
    known |= same;
    allowed |= same && (token.role == "all" || token.role == route.role);
  }
  if (allowed && !shown.empty()) return std::nullopt;
  if (known && !shown.empty()) return http::problem(403, "the token's role does not allow this");
  http::Answer answer = http::problem(401, "a token is wanted: Authorization: Bearer TOKEN");
  answer.headers.emplace_back("WWW-Authenticate", "Bearer");
  return answer;
}

}  // namespace weir::api
