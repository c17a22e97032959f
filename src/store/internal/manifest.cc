#include "store/internal/manifest.h"

#include <algorithm>
#include <charconv>
#include <cstdio>
#include <filesystem>

#include "base/file.h"
#include "store/internal/crc32c.h"

// A line is its CRC-32C in eight hex digits and changes, each after a space: WORD=value:value:… . Bytes of values that
// could be mistaken for the form are %XX.

namespace weir::store {
namespace {

std::string escaped(std::string_view text) {
  constexpr char kHex[] = "0123456789abcdef";
  std::string out;
  for (const char c : text) {
    const auto byte = static_cast<unsigned char>(c);
    if (byte <= ' ' || byte >= 127 || c == '%' || c == ':' || c == '=') {
      out += {'%', kHex[byte >> 4], kHex[byte & 15]};
    } else {
      out += c;
    }
  }
  return out;
}

bool unescape(std::string_view text, std::string& out) {
  out.clear();
  for (std::size_t at = 0; at < text.size(); ++at) {
    if (text[at] != '%') {
      out += text[at];
      continue;
    }
    unsigned value = 0;
    const char* digits = text.data() + at + 1;
    if (text.size() - at < 3 || std::from_chars(digits, digits + 2, value, 16).ptr != digits + 2) return false;
    out += static_cast<char>(value);
    at += 2;
  }
  return true;
}

/// The values of one change.
struct Values {
  std::string_view left;
  bool ok = true;

  std::string_view next() {
    const std::size_t colon = left.find(':');
    const std::string_view value = left.substr(0, colon);
    left.remove_prefix(colon == std::string_view::npos ? left.size() : colon + 1);
    return value;
  }
  template <typename Number>
  void take(Number& out) {
    const std::string_view text = next();
    ok &=
        std::from_chars(text.data(), text.data() + text.size(), out).ptr == text.data() + text.size() && !text.empty();
  }
  void take(std::string& out) { ok &= unescape(next(), out); }
  void take(bool& out) { out = next() == "1"; }
};

bool apply_segment(Values& values, ManifestContents& contents) {
  SegmentInfo segment;
  std::string log;
  values.take(log);
  const auto type = model::log_type_named(log);
  if (!type) return false;
  segment.log = *type;
  values.take(segment.file);
  values.take(segment.rows);
  values.take(segment.bytes);
  values.take(segment.min_start);
  values.take(segment.max_start);
  values.take(segment.min_id);
  values.take(segment.max_id);
  values.take(segment.schema);
  values.take(segment.compacted);
  values.take(segment.rollup);
  values.take(segment.rollup_rows);
  values.take(segment.rollup_bytes);
  if (values.ok) contents.segments[segment.file] = segment;
  return values.ok;
}

bool apply_change(std::string_view word, Values values, ManifestContents& contents) {
  if (word == "add") return apply_segment(values, contents);
  if (word == "del") {
    std::string file;
    values.take(file);
    contents.segments.erase(file);
  } else if (word == "wal") {
    for (std::uint64_t& seq : contents.flushed) {
      std::uint64_t value = 0;
      values.take(value);
      seq = std::max(seq, value);
    }
  } else if (word == "row") {
    for (std::uint64_t& row : contents.next_row) {
      std::uint64_t value = 0;
      values.take(value);
      row = std::max(row, value);
    }
  } else if (word == "src") {
    ManifestEdit::Range range;
    values.take(range.agent);
    values.take(range.stream);
    values.take(range.begin);
    values.take(range.end);
    values.take(range.touched);
    if (!values.ok) return false;
    StreamRanges& stream = contents.ranges[{range.agent, range.stream}];
    stream.stored.add(range.begin, range.end);
    stream.touched = std::max(stream.touched, range.touched);
  } else if (word == "cols") {
    std::uint64_t schema = 0;
    std::string columns;
    values.take(schema);
    values.take(columns);
    if (values.ok) contents.schemas[schema] = columns;
  }
  // Words of later releases are passed over.
  return values.ok;
}

bool apply_line(std::string_view line, ManifestContents& contents) {
  std::uint32_t crc = 0;
  if (line.size() < 9 || line[8] != ' ' || std::from_chars(line.data(), line.data() + 8, crc, 16).ptr != &line[8] ||
      crc != crc32c(line.substr(8))) {
    return false;
  }
  line.remove_prefix(9);
  while (!line.empty()) {
    const std::size_t space = line.find(' ');
    const std::string_view change = line.substr(0, space);
    const std::size_t equals = change.find('=');
    if (equals == std::string_view::npos) return false;
    if (!apply_change(change.substr(0, equals), {change.substr(equals + 1)}, contents)) return false;
    line.remove_prefix(space == std::string_view::npos ? line.size() : space + 1);
  }
  return true;
}

ManifestEdit whole_edit(const ManifestContents& contents) {
  ManifestEdit edit;
  for (const auto& [file, segment] : contents.segments) edit.added.push_back(segment);
  edit.flushed = contents.flushed;
  edit.next_row = contents.next_row;
  for (const auto& [key, stream] : contents.ranges) {
    for (const auto& [begin, end] : stream.stored.ranges()) {
      edit.ranges.push_back({key.first, key.second, begin, end, stream.touched});
    }
  }
  edit.schemas.assign(contents.schemas.begin(), contents.schemas.end());
  return edit;
}

}  // namespace

std::string manifest_line(const ManifestEdit& edit) {
  std::string line;
  const auto begin = [&](std::string_view word) { line.append(1, ' ').append(word).append(1, '='); };
  const auto text = [&](std::string_view value) { line += escaped(value) + ":"; };
  const auto number = [&](auto value) { line += std::to_string(value) + ":"; };
  for (const auto& [schema, columns] : edit.schemas) {
    begin("cols");
    number(schema);
    text(columns);
  }
  for (const SegmentInfo& segment : edit.added) {
    begin("add");
    text(to_string(segment.log));
    text(segment.file);
    number(segment.rows);
    number(segment.bytes);
    number(segment.min_start);
    number(segment.max_start);
    number(segment.min_id);
    number(segment.max_id);
    number(segment.schema);
    text(segment.compacted ? "1" : "0");
    text(segment.rollup);
    number(segment.rollup_rows);
    number(segment.rollup_bytes);
  }
  for (const std::string& file : edit.removed) {
    begin("del");
    text(file);
  }
  begin("wal");
  for (const std::uint64_t seq : edit.flushed) number(seq);
  begin("row");
  for (const std::uint64_t row : edit.next_row) number(row);
  for (const ManifestEdit::Range& range : edit.ranges) {
    begin("src");
    text(range.agent);
    text(range.stream);
    number(range.begin);
    number(range.end);
    number(range.touched);
  }
  char crc[9];
  std::snprintf(crc, sizeof crc, "%08x", crc32c(line));
  return crc + line + "\n";
}

Result<ManifestContents> read_manifest(std::string_view text, std::uint64_t* good_end) {
  ManifestContents contents;
  std::size_t at = 0;
  for (std::size_t number = 1; at < text.size(); ++number) {
    const std::size_t end = text.find('\n', at);
    const bool last = end == std::string_view::npos || end + 1 == text.size();
    ManifestContents before = last ? contents : ManifestContents{};
    const bool whole = end != std::string_view::npos && apply_line(text.substr(at, end - at), contents);
    if (!whole) {
      if (!last) return data_loss("line " + std::to_string(number) + " is damaged");
      contents = std::move(before);
      break;
    }
    at = end + 1;
  }
  if (good_end != nullptr) *good_end = at;
  return contents;
}

Result<Manifest> Manifest::open(const std::string& path, ManifestContents& contents) {
  Manifest manifest;
  if (std::filesystem::exists(path)) {
    std::uint64_t good_end = 0, size = 0;
    {
      TRY_ASSIGN(FileBytes bytes, FileBytes::open(path));
      size = bytes.text().size();
      Result<ManifestContents> read = read_manifest(bytes.text(), &good_end);
      if (!read.ok()) {
        return data_loss(path + ": " + read.error().message +
                         "; move the file and the store's parquet folder away to start anew");
      }
      contents = std::move(read).value();
    }
    if (good_end < size) {
      std::error_code error;
      std::filesystem::resize_file(path, good_end, error);
      if (error) return Error{ErrorCode::kPermissionDenied, "truncate " + path + ": " + error.message()};
    }
  }
  TRY_ASSIGN(manifest.file_, AppendFile::open(path));
  TRY(sync_folder(std::filesystem::path(path).parent_path()));
  manifest.rewritten_bytes_ = manifest.file_.size();
  return manifest;
}

Status Manifest::rewrite(const ManifestContents& contents) {
  const std::string path = file_.path(), temporary = path + ".tmp";
  remove_file(temporary);
  {
    TRY_ASSIGN(AppendFile file, AppendFile::open(temporary));
    TRY(file.append_durably(manifest_line(whole_edit(contents))));
  }
  TRY(publish_file(temporary, path));
  TRY_ASSIGN(file_, AppendFile::open(path));
  rewritten_bytes_ = file_.size();
  return {};
}

Status Manifest::reopen() {
  const std::string path = file_.path();
  const std::uint64_t good = file_.size();
  std::error_code error;
  std::filesystem::resize_file(path, good, error);
  if (error) return Error{ErrorCode::kResourceExhausted, "truncate " + path + ": " + error.message()};
  TRY_ASSIGN(file_, AppendFile::open(path));
  return {};
}

}  // namespace weir::store
