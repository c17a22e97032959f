// Runs the HTTP inspector over every shared capture and holds its transactions to the requests that tshark decoded.

#include <gtest/gtest.h>

#include <sstream>

#include "meter/http_inspector.h"
#include "tests/l7/replay_support.h"
#include "tests/support/shared_data.h"

namespace weir::tests {
namespace {

namespace fs = std::filesystem;

/// "request CLIENT -> SERVER METHOD HOST URL VERSION from ORIGINAL", "response SERVER -> CLIENT CODE"; how often.
using Lines = std::map<std::string, int>;

constexpr Accepted kAccepted[] = {
    {"arkime-http-tcp-seq-issue", "extra 1 x response 13.12.11.10 80",
     "frame 7: the capture ends inside the body; tshark reports a response when its body is whole, we report its head"},
    {"fpcap-linux-cooked-unsw-nb15", "extra 1 x request 175.45.176.2 52515 -> 149.171.126.16 3057 GET",
     "frame 279: GET with HTTP/1.0 to port 3057, an exploit; tshark takes that port for another protocol"},
    {"packetbeat-gap-in-stream", "extra 1 x response 127.0.0.1 8000",
     "frame 6 is its head; segments of the body are missing, so that tshark never finds it whole"},
    {"pfl-pcap-flow-lab-showcase", "extra 1 x response 198.51.100.40 80 -> 192.0.2.40 44000 204",
     "frame 636: the body before it is one byte longer than its Content-Length; tshark loses its place, we look for "
     "the "
     "next head"},
    {"ppp-example2", "extra 1 x response 212.58.246.107 80 -> 10.0.0.1 55297 200", "frame 2933: a hole in its body"},
    {"ppp-example2", "extra 1 x response 54.192.94.30 80 -> 10.0.0.1 55291 200",
     "frame 2837: the capture ends inside its body"},
    {"sanders-http-espn", "extra 2 x response 205.234.218.129 80 -> 172.16.0.122 41835 200",
     "frames 611 and 893: holes in and before them"},
    {"sv-http-gap-simple", "extra 2 x response 127.0.0.1 8080 -> 127.0.0.1 51297 200",
     "frames 13 and 26: a hole in the body of frame 13"},
    {"zeek-http-1000-requests-one-dropped-response", "extra 999 x response ::1 80",
     "the first response's head is missing, and tshark finds no later one on the connection"},
    {"zeek-http-content-range-gap", "extra 1 x response 54.239.164.21 80", "frame 6: a hole in its body"},
};

std::string text_of(const simdjson::dom::element& cell) {
  return cell.is_string() ? std::string(cell.get_string().value()) : "";
}

std::string end_text(const IpAddress& ip, std::uint64_t port) { return ip.to_string() + " " + std::to_string(port); }

/// The default rule on the header lines of a row, by the slow way: the rightmost address of all X-Forwarded-For lines.
std::string original_source(const simdjson::dom::element& headers) {
  std::string joined, real;
  if (!headers.is_array()) return "none";
  for (const simdjson::dom::array header : headers) {
    const std::string name = text_of(header.at(0)), value = text_of(header.at(1));
    if (name == "x-forwarded-for") joined += (joined.empty() ? "" : ",") + value;
    if (name == "x-real-ip") real = value;
  }
  const std::string& list = joined.empty() ? real : joined;
  const std::string last = list.substr(list.find_last_of(", ") == std::string::npos ? 0 : list.find_last_of(", ") + 1);
  return last.empty() ? "none" : last;
}

Lines expected_lines(const simdjson::dom::element& http) {
  Lines lines;
  const auto end = [](const simdjson::dom::array& row, std::size_t column) {
    return end_text(IpAddress::parse(row.at(column).get_string().value()).value(), row.at(column + 1).get_uint64());
  };
  for (const simdjson::dom::array row : http["request_rows"]) {
    std::ostringstream out;
    out << "request " << end(row, 3) << " -> " << end(row, 5) << " " << text_of(row.at(7)) << " " << text_of(row.at(8))
        << " " << text_of(row.at(9)) << " " << text_of(row.at(10)) << " from " << original_source(row.at(12));
    ++lines[out.str()];
  }
  for (const simdjson::dom::array row : http["response_rows"]) {
    if (row.at(7).is_null() || row.at(7).get_uint64().value() < 200) {
      if (row.at(7).is_null() || row.at(7).get_uint64().value() != 101) continue;
    }
    ++lines["response " + end(row, 3) + " -> " + end(row, 5) + " " + std::to_string(row.at(7).get_uint64().value())];
  }
  return lines;
}

Lines measured_lines(const std::string& path, const packet::Decoder::Options& options) {
  meter::HttpInspector inspector;
  Connections connections;
  std::map<model::ConnectionSlot, bool> refused;
  for_each_packet(path, options, [&](const packet::DecodedPacket& p) {
    if (p.tuple.protocol != model::kProtoTcp || p.icmp_error) return;
    const Connections::Place place = connections.place(p);
    if (place.ended_before) inspector.on_connection_end(place.ended);
    if (!refused[place.slot]) refused[place.slot] = !inspector.on_segment(p, place.slot, place.forward);
  });
  inspector.finish();
  Lines lines;
  for (const model::HttpTransaction& t : inspector.finished()) {
    const std::string client = end_text(t.tuple.source, t.tuple.source_port);
    const std::string server = end_text(t.tuple.dest, t.tuple.dest_port);
    if (t.request_ns != 0) {
      ++lines["request " + client + " -> " + server + " " + t.method + " " + t.host + " " + t.url + " " + t.version +
              " from " + (t.original_source.is_none() ? "none" : t.original_source.to_string())];
    }
    if (t.response_ns != 0) ++lines["response " + server + " -> " + client + " " + std::to_string(t.status)];
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

TEST(HttpCaptures, RequestsResponsesAndForwardedAddressesAreThoseThatTsharkDecodes) {
  WEIR_REQUIRE_SHARED_DATA(data);
  simdjson::dom::parser parser;
  int requests = 0;
  for (const fs::path& expectation : expectations(data)) {
    const std::string capture = expectation.stem().stem().string();
    try {
      const simdjson::dom::element want = parser.load(expectation.string());
      Lines wanted;
      if (want["http"].is_object()) wanted = expected_lines(want["http"]);
      const std::string file = (data / "captures" / std::string(want["file"].get_string().value())).string();
      const Lines got = measured_lines(file, decoder_options(want));
      for (const auto& [line, count] : wanted) requests += count;
      for (const std::string& line : differences(wanted, got)) {
        EXPECT_TRUE(is_accepted(kAccepted, capture, line)) << capture << ": " << line;
      }
    } catch (const simdjson::simdjson_error& error) {
      ADD_FAILURE() << capture << ": " << error.what();
    }
  }
  EXPECT_GT(requests, 1500);
}

}  // namespace
}  // namespace weir::tests
