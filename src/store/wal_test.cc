#include "store/internal/wal.h"

#include <gtest/gtest.h>

#include <fstream>
#include <string>
#include <vector>

#include "store/internal/crc32c.h"
#include "store/internal/manifest.h"
#include "store/store_fixture.h"

namespace weir::store {
namespace {

WalFrame frame_of(std::uint64_t number) {
  WalFrame frame;
  frame.log = static_cast<LogType>(number % model::kLogTypes);
  frame.rows = static_cast<std::uint32_t>(number);
  frame.has_range = number % 2 == 0;
  frame.agent = "node-" + std::to_string(number);
  frame.stream = "flows";
  frame.begin = number * 100;
  frame.end = number * 100 + 50;
  frame.time = 1000;
  return frame;
}

std::string bytes_of(std::uint64_t first, std::uint64_t count, std::vector<std::size_t>* ends = nullptr) {
  std::string bytes;
  for (std::uint64_t seq = first; seq < first + count; ++seq) {
    std::string frame = encode_wal_frame(frame_of(seq), std::string(seq * 10, 'a') + "\n");
    seal_wal_frame(frame, seq, seq * 1000);
    bytes += frame;
    if (ends != nullptr) ends->push_back(bytes.size());
  }
  return bytes;
}

std::vector<std::uint64_t> seqs_in(std::string_view bytes, WalScan* scan = nullptr) {
  std::vector<std::uint64_t> seqs;
  const auto scanned = scan_wal(bytes, [&](const WalFrame& frame) {
    const WalFrame want = frame_of(frame.seq);
    EXPECT_EQ(frame.log, want.log);
    EXPECT_EQ(frame.rows, want.rows);
    EXPECT_EQ(frame.first_row, frame.seq * 1000);
    EXPECT_EQ(frame.agent, want.agent);
    EXPECT_EQ(frame.end, want.end);
    EXPECT_EQ(frame.text, std::string(frame.seq * 10, 'a') + "\n");
    seqs.push_back(frame.seq);
    return Status();
  });
  EXPECT_TRUE(scanned.ok());
  if (scan != nullptr) *scan = scanned.value();
  return seqs;
}

TEST(Crc32c, EqualsTheVectorsOfRfc3720) {
  EXPECT_EQ(crc32c(std::string(32, '\0')), 0x8A9136AAu);
  EXPECT_EQ(crc32c(std::string(32, '\xff')), 0x62A8AB43u);
  EXPECT_EQ(crc32c("123456789"), 0xE3069283u);
  EXPECT_EQ(crc32c("56789", crc32c("1234")), crc32c("123456789"));
}

TEST(Wal, ACutAtAnyByteKeepsTheWholeFramesBefore) {
  std::vector<std::size_t> ends;
  const std::string bytes = bytes_of(1, 4, &ends);
  for (std::size_t cut = 0; cut <= bytes.size(); ++cut) {
    WalScan scan;
    const auto seqs = seqs_in(std::string_view(bytes).substr(0, cut), &scan);
    const auto whole =
        static_cast<std::size_t>(std::count_if(ends.begin(), ends.end(), [&](std::size_t end) { return end <= cut; }));
    ASSERT_EQ(seqs.size(), whole) << cut;
    ASSERT_EQ(scan.good_end, whole == 0 ? 0 : ends[whole - 1]);
    ASSERT_EQ(scan.bad_bytes, cut - scan.good_end);
  }
}

TEST(Wal, ADamagedByteCostsItsFrameAndNoOther) {
  std::vector<std::size_t> ends;
  const std::string bytes = bytes_of(1, 4, &ends);
  for (std::size_t at = 0; at < bytes.size(); ++at) {
    std::string damaged = bytes;
    damaged[at] = static_cast<char>(damaged[at] ^ 0x40);
    const auto seqs = seqs_in(damaged);
    std::vector<std::uint64_t> want;
    for (std::uint64_t seq = 1; seq <= 4; ++seq) {
      const std::size_t begin = seq == 1 ? 0 : ends[seq - 2];
      if (at < begin || at >= ends[seq - 1]) want.push_back(seq);
    }
    ASSERT_EQ(seqs, want) << at;
  }
}

TEST(Wal, GoesOnInANewFileAndDropsWhatIsInSegments) {
  const TempFolder folder;
  std::vector<std::uint64_t> seen;
  const auto visit = [&](const WalFrame& frame) {
    seen.push_back(frame.seq);
    return Status();
  };
  const auto open = [&](std::uint64_t floor) { return Wal::open(folder.path() + "/wal", floor, visit, nullptr); };
  {
    Wal wal = open(0).value();
    ASSERT_TRUE(wal.append(bytes_of(1, 2), 2, {true, true, true, true, true}).ok());
  }
  // A torn end is passed over, and new frames do not come after it.
  const std::string first = folder.path() + "/wal/" + files_below(folder.path() + "/wal").front();
  std::ofstream(first, std::ios::app | std::ios::binary) << "WWF1 torn";
  {
    Wal wal = open(0).value();
    EXPECT_EQ(seen, (std::vector<std::uint64_t>{1, 2}));
    EXPECT_EQ(wal.torn_bytes(), 9u);
    ASSERT_TRUE(wal.append(bytes_of(3, 1), 3, {true, false, false, false, false}).ok());
    wal.trim({2, 2, 2, 2, 2});
    EXPECT_GT(wal.bytes(), 0u);
  }
  seen.clear();
  {
    Wal wal = open(0).value();
    EXPECT_EQ(seen, (std::vector<std::uint64_t>{3}));
    wal.trim({3, 3, 3, 3, 3});
    EXPECT_EQ(wal.bytes(), 0u);
  }
  seen.clear();
  Wal wal = open(3).value();
  EXPECT_TRUE(seen.empty());
  EXPECT_EQ(wal.last_seq(), 3u);
}

ManifestEdit edit_of(int number) {
  ManifestEdit edit;
  SegmentInfo segment;
  segment.log = LogType::kDns;
  segment.file = "parquet/dns/a b:" + std::to_string(number) + "=%.parquet";
  segment.rows = 10;
  segment.min_start = -5;
  segment.max_id = static_cast<std::uint64_t>(number);
  segment.compacted = number % 2 == 0;
  segment.rollup = number % 2 == 0 ? "r" : "";
  edit.added.push_back(segment);
  if (number > 1) edit.removed.push_back("parquet/dns/a b:" + std::to_string(number - 1) + "=%.parquet");
  edit.flushed[1] = static_cast<std::uint64_t>(number);
  edit.next_row[1] = static_cast<std::uint64_t>(number) * 7;
  const auto begin = static_cast<std::uint64_t>(number) * 10;
  edit.ranges.push_back({"node 1", "s\n=", begin, begin + 10, number});
  return edit;
}

TEST(Manifest, ACutAtAnyByteKeepsTheEditsBefore) {
  std::string text;
  std::vector<std::size_t> ends{0};
  for (int number = 1; number <= 3; ++number) {
    text += manifest_line(edit_of(number));
    ends.push_back(text.size());
  }
  for (std::size_t cut = 0; cut <= text.size(); ++cut) {
    std::uint64_t good_end = 0;
    const auto contents = read_manifest(std::string_view(text).substr(0, cut), &good_end);
    ASSERT_TRUE(contents.ok()) << cut << contents.error().message;
    const auto whole = static_cast<std::size_t>(std::upper_bound(ends.begin(), ends.end(), cut) - ends.begin() - 1);
    ASSERT_EQ(good_end, ends[whole]);
    ASSERT_EQ(contents.value().segments.size(), whole == 0 ? 0u : 1u);
    ASSERT_EQ(contents.value().flushed[1], whole);
    if (whole == 0) continue;
    const auto& [file, segment] = *contents.value().segments.begin();
    EXPECT_EQ(file, edit_of(static_cast<int>(whole)).added[0].file);
    EXPECT_EQ(segment.min_start, -5);
    const auto& ranges = contents.value().ranges.at({"node 1", "s\n="}).stored.ranges();
    ASSERT_EQ(ranges.size(), 1u);
    EXPECT_EQ(ranges.begin()->second, whole * 10 + 10);
  }
}

TEST(Manifest, RefusesDamageThatIsNotAtItsEnd) {
  const std::string first = manifest_line(edit_of(1));
  const std::string text = first + manifest_line(edit_of(2));
  for (std::size_t at = 0; at + 1 < first.size(); ++at) {
    std::string damaged = text;
    damaged[at] = static_cast<char>(damaged[at] ^ 1);
    const auto contents = read_manifest(damaged);
    ASSERT_FALSE(contents.ok()) << at;
  }
}

TEST(RangeSet, MergesAndFindsGaps) {
  RangeSet set;
  set.add(10, 20);
  set.add(30, 40);
  EXPECT_EQ(set.next_outside(10), 20u);
  EXPECT_EQ(set.next_outside(5), 5u);
  EXPECT_EQ(set.next_outside(25), 25u);
  EXPECT_TRUE(set.touches(0, 11));
  EXPECT_FALSE(set.touches(20, 30));
  EXPECT_FALSE(set.covers(10, 35));
  set.add(20, 30);
  EXPECT_EQ(set.ranges().size(), 1u);
  EXPECT_TRUE(set.covers(10, 40));
  set.add(0, 100);
  EXPECT_EQ(set.ranges().size(), 1u);
}

}  // namespace
}  // namespace weir::store
