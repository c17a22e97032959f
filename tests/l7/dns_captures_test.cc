// Runs the DNS inspector over every shared capture and holds its transactions to the messages that tshark decoded.

#include <gtest/gtest.h>

#include <iterator>
#include <set>
#include <sstream>

#include "meter/dns_inspector.h"
#include "model/dns.h"
#include "tests/l7/replay_support.h"
#include "tests/support/shared_data.h"

namespace weir::tests {
namespace {

namespace fs = std::filesystem;

/// Lines such as "answer www.example.com A NoError 10.0.0.1 10.0.0.2", and how often.
using Lines = std::map<std::string, int>;

constexpr Accepted kAccepted[] = {
    {"dnscap-dnso1tcp-bighole", "extra 15 x answer 206.218.58.216.in-addr.arpa",
     "TCP segments are missing from frame 18 on; tshark finds no message behind the hole, we find the next length "
     "prefix"},
    {"dnscap-dnso1tcp-bighole", "extra 21 x answer google.com", "the same hole"},
    {"dnscap-dnso1tcp-midmiss", "extra 2 x answer google.com", "as in dnscap-dnso1tcp-bighole"},
    {"dnstun-normal-00000-20230805150331", "extra 4 x timeout yva7mggef.vip",
     "the file is not in order of time: answers of minutes and hours later lie between a query and its retries, so "
     "that "
     "each retry is a lookup of its own"},
    {"ndpi-fuzz-2006-06-26-2594", "missing 1 x answer 1.0.0.127.in-addr.arpa PTR NoError <Unknown",
     "frame 18: an undefined label type in PTR data; tshark says so in words, we write the data as of an unknown type"},
    {"ndpi-fuzz-2006-06-26-2594", "extra 1 x answer 1.0.0.127.in-addr.arpa PTR NoError", "the same frame"},
    {"ndpi-fuzz-2006-06-26-2594", "missing 3 x answer ? NoError",
     "frames 43, 288, 536: answers whose question cannot be read get that of the query with their id"},
    {"ndpi-fuzz-2006-06-26-2594", "extra 1 x answer ftp.ecitele.com A NoError", "frame 43 answers frame 42"},
    {"ndpi-fuzz-2006-06-26-2594", "missing 1 x timeout ftp.ecitele.com a", "so frame 42 is answered"},
    {"ndpi-fuzz-2006-06-26-2594", "extra 1 x answer 1.v.0.127.in-addr.arpa PTR NoError", "frame 288 answers frame 287"},
    {"ndpi-fuzz-2006-06-26-2594", "missing 1 x timeout 1.v.0.127.in-addr.arpa ptr", "so frame 287 is answered"},
    {"ndpi-fuzz-2006-06-26-2594", "extra 1 x answer 1.0.0.127.in-addr.arpa TYPE16396 NoError",
     "frame 536 answers frame 535"},
    {"ndpi-fuzz-2006-06-26-2594", "missing 1 x timeout 1.0.0.127.in-addr.arpa type16396", "so frame 535 is answered"},
    {"ndpi-fuzz-2006-06-26-2594", "extra 1 x timeout _sip.]udp.sip.cybercity.dk srv",
     "frame 642: a first fragment whose others never come; tshark waits for them, we read what is there"},
};

/// The value of "\\DDD" at `at`, -1 if there is none.
int escape_at(const std::string& text, std::size_t at) {
  if (at + 3 >= text.size() || text[at] != '\\' || !std::isdigit(static_cast<unsigned char>(text[at + 1]))) return -1;
  return std::stoi(text.substr(at + 1, 3));
}

/// tshark prints bytes above 127 as they are, others in octal or as \u and a code point, and what is not UTF-8 was
/// replaced when the expectations were written; we print \ and a decimal number. Both become one '*' for each run of
/// such bytes. tshark also takes the overlong UTF-8 form of an ASCII character for that character.
std::string plain(const std::string& text) {
  std::string out;
  for (std::size_t i = 0; i < text.size(); ++i) {
    const auto c = static_cast<unsigned char>(text[i]);
    const int first = escape_at(text, i), second = escape_at(text, i + 4);
    if ((first == 0xC0 || first == 0xC1) && second >= 0x80 && second < 0xC0) {
      const int overlong = (first & 1) << 6 | (second & 0x3F);
      i += 7;
      if (overlong >= 0x20 && overlong < 0x7F) {
        out += static_cast<char>(overlong);
        continue;
      }
    } else if (c == '\\') {
      const bool letter =
          i + 1 < text.size() && std::string_view("abfnrtv").find(text[i + 1]) != std::string_view::npos;
      const bool code_point = i + 5 < text.size() && text[i + 1] == 'u';
      i += code_point ? 5 : first >= 0 ? 3 : letter || (i + 1 < text.size() && text[i + 1] == '\\');
    } else if (c >= 0x20 && c < 0x7F) {
      out += text[i];
      continue;
    }
    if (!out.ends_with('*')) out += '*';
  }
  return out;
}

std::string question_text(const std::string& name, int type) {
  if (name.empty()) return "?";
  return plain(name) + " " + model::dns_type_name(static_cast<std::uint16_t>(type));
}

/// tshark's text of a name in ours: it writes the root and unreadable names in words, and some bytes as they are.
std::string our_name(std::string_view name) {
  if (name == "<Root>") return ".";
  if (name.starts_with('<')) return "";
  return std::string(name);
}

/// Our data in tshark's form: of an SOA only the serial of the numbers.
std::string their_data(const model::DnsRecordData& record) {
  if (record.type != 6) return record.data;
  std::size_t end = record.data.size();
  for (int i = 0; i < 4; ++i) end = record.data.rfind(' ', end - 1);
  return record.data.substr(0, end);
}

/// Answer data of types that tshark prints as text, sorted.
std::string answers_text(std::multiset<std::string> data) {
  // Sorted again, as the replacement may change the order.
  std::multiset<std::string> replaced;
  for (const std::string& one : data) replaced.insert(plain(one));
  std::string text;
  for (const std::string& one : replaced) text += " " + one;
  return text;
}

bool is_text_type(std::uint64_t type) {
  constexpr std::uint64_t kTypes[] = {1, 2, 5, 6, 12, 15, 28, 33, 39};
  return std::find(std::begin(kTypes), std::end(kTypes), type) != std::end(kTypes);
}

std::string lower(std::string text) {
  std::transform(text.begin(), text.end(), text.begin(), [](char c) { return static_cast<char>(std::tolower(c)); });
  return text;
}

std::string text_at(const simdjson::dom::array& row, std::size_t column) {
  return std::string(row.at(column).get_string().value());
}

/// The first question of a row, and its class.
struct Asked {
  std::string text = "?";
  std::uint64_t qclass = 0;
};
Asked question_of(const simdjson::dom::array& row) {
  for (const simdjson::dom::array q : row.at(12)) {
    return {question_text(our_name(q.at(0).get_string().value()), static_cast<int>(q.at(1).get_uint64().value())),
            q.at(2).get_uint64()};
  }
  return {};
}

std::string answer_line(const simdjson::dom::array& row, const std::string& question) {
  std::uint64_t rcode = row.at(10).get_uint64();
  if (row.at(16).is_object()) rcode |= row.at(16)["ext_rcode"].get_uint64().value() << 4;
  std::multiset<std::string> data;
  for (const simdjson::dom::array answer : row.at(13)) {
    if (is_text_type(answer.at(1).get_uint64().value()) && answer.at(3).is_string()) data.insert(text_at(answer, 3));
  }
  return "answer " + question + " " + model::dns_rcode_name(static_cast<std::uint16_t>(rcode)) + answers_text(data);
}

/// One lookup: its query, sent once or more, of which `unanswered` wait.
struct Lookup {
  double first, newest;
  int unanswered = 1;
  bool in_time = false;
};

/// What the log should say, from the rows of an expectation: each answer; and each query that has no answer with its
/// ends, id and question within 5 s, where a query sent again before it is answered, and within 30 s, is the same.
Lines expected_lines(const simdjson::dom::array& rows) {
  Lines lines;
  std::map<std::string, std::vector<Lookup>> queries;
  for (const simdjson::dom::array row : rows) {
    const std::uint64_t source_port = row.at(4).get_uint64(), dest_port = row.at(6).get_uint64();
    if (source_port != 53 && dest_port != 53) continue;
    const bool response = row.at(8).get_int64().value() == 1;
    const double time = std::stod(text_at(row, 1));
    const Asked asked = question_of(row);
    const std::string from = text_at(row, 3) + " " + std::to_string(source_port);
    const std::string to = text_at(row, 5) + " " + std::to_string(dest_port);
    const std::string key = text_at(row, 2) + " " + (response ? to + " " + from : from + " " + to) + " " +
                            std::to_string(row.at(7).get_uint64().value()) + " " + std::to_string(asked.qclass) + " " +
                            lower(asked.text);
    std::vector<Lookup>& sent = queries[key];
    const bool open = !sent.empty() && sent.back().unanswered > 0;
    if (response) {
      ++lines[answer_line(row, asked.text)];
      if (!open) continue;
      sent.back().in_time |= time - sent.back().first < 5;
      --sent.back().unanswered;
    } else if (open && time - sent.back().newest < 30) {
      sent.back().newest = time;
      ++sent.back().unanswered;
    } else if (asked.text != "?") {
      sent.push_back({time, time});
    }
  }
  for (const auto& [key, sent] : queries) {
    for (const Lookup& lookup : sent) {
      // The key ends with the question: two words.
      if (!lookup.in_time) ++lines["timeout " + key.substr(key.rfind(' ', key.rfind(' ') - 1) + 1)];
    }
  }
  return lines;
}

Lines measured_lines(const std::string& path, const packet::Decoder::Options& options) {
  meter::DnsInspector inspector;
  Connections connections;
  for_each_packet(path, options, [&](const packet::DecodedPacket& p) {
    if (!meter::DnsInspector::wants(p)) return;
    const Connections::Place place = connections.place(p);
    if (place.ended_before) inspector.on_connection_end(place.ended);
    inspector.on_packet(p, place.slot, place.forward);
  });
  inspector.finish();
  Lines lines;
  for (const model::DnsTransaction& t : inspector.finished()) {
    const std::string question = question_text(t.qname, t.qtype);
    if (t.rcode == model::DnsTransaction::kTimeout) {
      ++lines["timeout " + lower(question)];
      continue;
    }
    std::multiset<std::string> data;
    for (const model::DnsRecordData& answer : t.answers) {
      if (is_text_type(answer.type) && !answer.data.starts_with("\\#")) data.insert(their_data(answer));
    }
    ++lines["answer " + question + " " + model::dns_rcode_name(t.rcode) + answers_text(data)];
  }
  return lines;
}

std::vector<std::string> differences(const Lines& want, const Lines& got) {
  std::vector<std::string> lines;
  const auto report = [&](const char* what, const Lines& in, const Lines& other) {
    for (const auto& [line, count] : in) {
      const auto found = other.find(line);
      const int there = found == other.end() ? 0 : found->second;
      if (there < count) lines.push_back(std::string(what) + " " + std::to_string(count - there) + " x " + line);
    }
  };
  report("missing", want, got);
  report("extra", got, want);
  return lines;
}

TEST(DnsCaptures, AnswersAndUnansweredQueriesAreThoseThatTsharkDecodes) {
  WEIR_REQUIRE_SHARED_DATA(data);
  simdjson::dom::parser parser;
  int messages = 0;
  for (const fs::path& expectation : expectations(data)) {
    const std::string capture = expectation.stem().stem().string();
    try {
      const simdjson::dom::element want = parser.load(expectation.string());
      Lines wanted;
      if (want["dns"].is_object()) wanted = expected_lines(want["dns"]["rows"]);
      const std::string file = (data / "captures" / std::string(want["file"].get_string().value())).string();
      const Lines got = measured_lines(file, decoder_options(want));
      for (const auto& [line, count] : wanted) messages += count;
      for (const std::string& line : differences(wanted, got)) {
        EXPECT_TRUE(is_accepted(kAccepted, capture, line)) << capture << ": " << line;
      }
    } catch (const simdjson::simdjson_error& error) {
      ADD_FAILURE() << capture << ": " << error.what();
    }
  }
  EXPECT_GT(messages, 5000);
}

}  // namespace
}  // namespace weir::tests
