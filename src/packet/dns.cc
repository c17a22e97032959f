#include "packet/dns.h"

#include <algorithm>

#include "base/ip.h"

namespace weir::packet {
namespace {

constexpr std::uint16_t kTypeA = 1, kTypeNs = 2, kTypeCname = 5, kTypeSoa = 6, kTypePtr = 12, kTypeMx = 15,
                        kTypeTxt = 16, kTypeAaaa = 28, kTypeSrv = 33, kTypeDname = 39, kTypeOpt = 41;
constexpr std::size_t kHeaderBytes = 12, kMaxNameBytes = 255, kMaxPointers = 128;

/// Reads forward through the message up to `end` and remembers whether it ran out of bytes.
struct Reader {
  std::span<const std::uint8_t> message;
  std::size_t at = 0;
  /// The end of the message, or of the record's data; compressed names may point behind it.
  std::size_t end = 0;
  bool failed = false;

  std::size_t left() const { return end - at; }
  bool need(std::size_t bytes) {
    if (left() < bytes) failed = true;
    return !failed;
  }
  std::uint16_t u16() {
    if (!need(2)) return 0;
    const auto value = static_cast<std::uint16_t>(message[at] << 8 | message[at + 1]);
    at += 2;
    return value;
  }
  std::uint32_t u32() {
    const std::uint32_t high = u16();
    return high << 16 | u16();
  }
};

void append_label_byte(std::string& out, std::uint8_t c) {
  if (c == '.' || c == '\\') {
    out += '\\';
    out += static_cast<char>(c);
  } else if (c > 0x20 && c < 0x7F) {
    out += static_cast<char>(c);
  } else {
    out += '\\';
    out += static_cast<char>('0' + c / 100);
    out += static_cast<char>('0' + c / 10 % 10);
    out += static_cast<char>('0' + c % 10);
  }
}

enum class NameRead : std::uint8_t {
  kOk,
  kUnreadable,  ///< a loop, a pointer out of the message or a name too long; reading goes on behind it
  kBroken,      ///< its end is not known
};

/// Reads a name (RFC 1035 4.1.4) into `out`; null: only steps over it. Pointers may go anywhere in the message: real
/// servers compress forwards too, and the bounds on jumps and length end every loop.
NameRead read_name(Reader& reader, std::string* out) {
  if (out != nullptr) out->clear();
  std::size_t at = reader.at, end = reader.end, wire_bytes = 1, pointers = 0;
  bool jumped = false;
  const auto unreadable = [&] {
    if (out != nullptr) out->clear();
    return jumped ? NameRead::kUnreadable : NameRead::kBroken;
  };
  while (true) {
    if (at >= end) return unreadable();
    const std::uint8_t length = reader.message[at];
    if ((length & 0xC0) == 0xC0) {
      if (at + 1 >= end) return unreadable();
      if (!jumped) reader.at = at + 2;
      jumped = true;
      end = reader.message.size();
      if (out == nullptr) return NameRead::kOk;
      if (++pointers > kMaxPointers) return unreadable();
      at = static_cast<std::size_t>((length & 0x3F) << 8 | reader.message[at + 1]);
      continue;
    }
    if ((length & 0xC0) != 0) return unreadable();  // 01: extended labels (RFC 2671, withdrawn), 10: never defined
    ++at;
    if (length == 0) break;
    wire_bytes += length + std::size_t{1};
    if (at + length > end || wire_bytes > kMaxNameBytes) return unreadable();
    if (out != nullptr) {
      if (!out->empty()) *out += '.';
      for (std::size_t i = 0; i < length; ++i) append_label_byte(*out, reader.message[at + i]);
    }
    at += length;
  }
  if (!jumped) reader.at = at;
  if (out != nullptr && out->empty()) *out = ".";
  return NameRead::kOk;
}

/// Appends `count` 16-bit numbers, each with a blank behind it.
void append_numbers(Reader& data, int count, std::string& out) {
  for (int i = 0; i < count; ++i) out += std::to_string(data.u16()) + ' ';
}

bool append_name(Reader& data, std::string& out) {
  std::string name;
  if (data.failed || read_name(data, &name) != NameRead::kOk) return false;
  out += name;
  return true;
}

bool append_soa(Reader& data, std::string& out) {
  if (!append_name(data, out)) return false;
  out += ' ';
  if (!append_name(data, out)) return false;
  for (int i = 0; i < 5; ++i) out += ' ' + std::to_string(data.u32());
  return !data.failed;
}

bool append_txt(Reader& data, std::string& out) {
  while (data.left() > 0) {
    const std::size_t length = data.message[data.at++];
    if (!data.need(length)) return false;
    for (std::size_t i = 0; i < length; ++i) {
      const std::uint8_t c = data.message[data.at + i];
      if (c == '.' || c == ' ') {
        out += static_cast<char>(c);  // no separator here, unlike in a name
      } else {
        append_label_byte(out, c);
      }
    }
    data.at += length;
  }
  return true;
}

void append_unknown(std::span<const std::uint8_t> bytes, std::string& out) {
  static constexpr char kHex[] = "0123456789abcdef";
  out += "\\# " + std::to_string(bytes.size());
  if (!bytes.empty()) out += ' ';
  for (const std::uint8_t byte : bytes) {
    out += kHex[byte >> 4];
    out += kHex[byte & 15];
  }
}

/// The presentation form of a known type; false if the data does not fit its type.
bool append_known(Reader& data, model::DnsRecordData& record) {
  const std::size_t bytes = data.left();
  std::string& out = record.data;
  switch (record.type) {
    case kTypeA:
    case kTypeAaaa:
      if (bytes != (record.type == kTypeA ? 4u : 16u)) return false;
      record.address = record.type == kTypeA ? IpAddress::v4(data.message.data() + data.at)
                                             : IpAddress::v6(data.message.data() + data.at);
      data.at += bytes;
      out = record.address.to_string();
      return true;
    case kTypeNs:
    case kTypeCname:
    case kTypePtr:
    case kTypeDname:
      return append_name(data, out) && data.left() == 0;
    case kTypeMx:
      append_numbers(data, 1, out);
      return append_name(data, out) && data.left() == 0;
    case kTypeSrv:
      append_numbers(data, 3, out);
      return append_name(data, out) && data.left() == 0;
    case kTypeSoa:
      return append_soa(data, out) && data.left() == 0;
    case kTypeTxt:
      return append_txt(data, out);
    default:
      return false;
  }
}

bool is_known(std::uint16_t type) {
  static constexpr std::uint16_t kKnown[] = {kTypeA,  kTypeNs,  kTypeCname, kTypeSoa, kTypePtr,
                                             kTypeMx, kTypeTxt, kTypeAaaa,  kTypeSrv, kTypeDname};
  return std::find(std::begin(kKnown), std::end(kKnown), type) != std::end(kKnown);
}

/// Reads one resource record. False: the rest of the message cannot be read. Sets `malformed` on lesser damage.
bool read_record(Reader& reader, model::DnsRecordData& record, bool& malformed) {
  const NameRead name = read_name(reader, &record.name);
  if (name == NameRead::kBroken) return false;
  if (name == NameRead::kUnreadable) malformed = true;
  record.type = reader.u16();
  record.rclass = reader.u16();
  record.ttl = reader.u32();
  const std::uint16_t length = reader.u16();
  if (!reader.need(length)) return false;
  Reader data{reader.message, reader.at, reader.at + length};
  if (!append_known(data, record)) {
    if (is_known(record.type)) malformed = true;
    record.data.clear();
    record.address = {};
    append_unknown(reader.message.subspan(reader.at, length), record.data);
  }
  reader.at += length;
  return true;
}

/// Steps over a record of the authority or additional section, and takes the RCODE extension from an OPT record.
bool skip_record(Reader& reader, DnsMessage& out) {
  if (read_name(reader, nullptr) == NameRead::kBroken) return false;
  const std::uint16_t type = reader.u16();
  reader.u16();
  const std::uint32_t ttl = reader.u32();
  const std::uint16_t length = reader.u16();
  if (!reader.need(length)) return false;
  if (type == kTypeOpt) out.rcode = static_cast<std::uint16_t>((ttl >> 24) << 4 | (out.rcode & 0xF));
  reader.at += length;
  return true;
}

bool read_sections(Reader& reader, DnsMessage& out, bool& malformed) {
  const std::uint16_t questions = reader.u16(), answers = reader.u16();
  const std::uint32_t others = std::uint32_t{reader.u16()} + reader.u16();
  for (std::uint32_t i = 0; i < questions; ++i) {
    DnsQuestion question;
    const NameRead name = read_name(reader, &question.name);
    if (name == NameRead::kBroken) return false;
    if (name == NameRead::kUnreadable) malformed = true;
    question.type = reader.u16();
    question.qclass = reader.u16();
    if (reader.failed) return false;
    out.questions.push_back(std::move(question));
  }
  for (std::uint32_t i = 0; i < answers; ++i) {
    model::DnsRecordData record;
    if (!read_record(reader, record, malformed)) return false;
    out.answers.push_back(std::move(record));
  }
  for (std::uint32_t i = 0; i < others; ++i) {
    if (!skip_record(reader, out)) return false;
  }
  return true;
}

}  // namespace

DnsParse parse_dns(std::span<const std::uint8_t> message, DnsMessage& out) {
  out.questions.clear();
  out.answers.clear();
  if (message.size() < kHeaderBytes) {
    out = DnsMessage();
    return DnsParse::kNotDns;
  }
  Reader reader{message, 0, message.size()};
  out.id = reader.u16();
  const std::uint16_t flags = reader.u16();
  out.response = (flags & 0x8000) != 0;
  out.opcode = static_cast<std::uint8_t>(flags >> 11 & 0xF);
  out.rcode = flags & 0xF;
  bool malformed = false;
  if (!read_sections(reader, out, malformed)) malformed = true;
  return malformed ? DnsParse::kMalformed : DnsParse::kOk;
}

}  // namespace weir::packet
