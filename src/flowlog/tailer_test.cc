#include "flowlog/tailer.h"

#include <map>
#include <random>
#include <set>
#include <sstream>

#include "flowlog/log_file_fixture.h"

namespace weir::flowlog {
namespace {

class TailerTest : public LogFolder {
 protected:
  Tailer tailer(const std::vector<Cursor>& cursors = {}, std::size_t batch_bytes = 1 << 20) const {
    return Tailer({folder_, "flows.log", batch_bytes, 4096}, cursors);
  }
  void add(const std::string& name, const std::string& text) const {
    std::ofstream(folder_ + '/' + name, std::ios::binary | std::ios::app) << text;
  }
  void rename(const std::string& from, const std::string& to) const {
    std::filesystem::rename(folder_ + '/' + from, folder_ + '/' + to);
  }
  /// All that there is to read, delivered.
  static std::string drain(Tailer& tailer) {
    std::string all;
    for (;;) {
      auto batch = tailer.read();
      EXPECT_TRUE(batch.ok()) << batch.error().message;
      if (!batch.ok() || !batch.value()) return all;
      all += batch.value()->lines;
      tailer.advance(*batch.value(), batch.value()->end);
    }
  }
  static std::vector<Cursor> cursors_of(const Tailer& tailer) {
    std::vector<Cursor> cursors;
    tailer.cursors(cursors);
    return cursors;
  }
};

TEST_F(TailerTest, GivesWholeLinesOnlyAndTheRestOnceItIsThere) {
  Tailer reader = tailer();
  EXPECT_EQ(drain(reader), "");
  add("flows.log", "fir");
  EXPECT_EQ(drain(reader), "");
  add("flows.log", "st\nsec");
  EXPECT_EQ(drain(reader), "first\n");
  EXPECT_EQ(reader.lag_bytes(), 3u);
  add("flows.log", "ond\n");
  EXPECT_EQ(drain(reader), "second\n");
  EXPECT_EQ(reader.lag_bytes(), 0u);
}

TEST_F(TailerTest, AFolderThatIsNotThereYetIsNoError) {
  Tailer reader({folder_ + "/later", "flows.log"}, {});
  EXPECT_EQ(drain(reader), "");
  std::filesystem::create_directory(folder_ + "/later");
  add("later/flows.log", "a\n");
  EXPECT_EQ(drain(reader), "a\n");
}

TEST_F(TailerTest, ReadsTheOldestFileFirstAndGoesOnAcrossRotations) {
  add("flows.log.2", "a\n");
  add("flows.log.1", "b\n");
  add("flows.log", "c\n");
  add("flows.log.old", "no\n");
  add("flows.log.1.gz", "no\n");
  Tailer reader = tailer();
  EXPECT_EQ(drain(reader), "a\nb\nc\n");
  add("flows.log", "d\n");
  rename("flows.log.2", "flows.log.3");
  rename("flows.log.1", "flows.log.2");
  rename("flows.log", "flows.log.1");
  add("flows.log", "e\n");
  EXPECT_EQ(drain(reader), "d\ne\n");
  // A writer that has not noticed the rotation.
  add("flows.log.1", "late\n");
  EXPECT_EQ(drain(reader), "late\n");
}

TEST_F(TailerTest, ABatchIsTheSameUntilItIsDeliveredAndNamesItsBytes) {
  add("flows.log", "aa\nbb\ncc\n");
  Tailer reader = tailer({}, 7);
  const TailBatch first = *reader.read().value();
  EXPECT_EQ(first.lines, "aa\nbb\n");
  EXPECT_EQ(first.begin, 0u);
  EXPECT_EQ(first.end, 6u);
  EXPECT_EQ(reader.read().value()->lines, first.lines);
  reader.advance(first, 3);
  const TailBatch second = *reader.read().value();
  EXPECT_EQ(second.lines, "bb\ncc\n");
  EXPECT_EQ(second.begin, 3u);
  EXPECT_EQ(second.stream, first.stream);
  EXPECT_TRUE(reader.seek(second, 6));
  EXPECT_EQ(drain(reader), "cc\n");
  EXPECT_FALSE(reader.seek(second, 100));
  EXPECT_TRUE(reader.seek(second, 0));
  EXPECT_EQ(drain(reader), "aa\nbb\ncc\n");
}

TEST_F(TailerTest, StreamsKeepTheirNamesAcrossRenamesAndRestarts) {
  add("flows.log", "a\nb\n");
  std::string stream;
  std::vector<Cursor> cursors;
  {
    Tailer reader = tailer({}, 3);
    const TailBatch batch = *reader.read().value();
    stream = batch.stream;
    EXPECT_TRUE(stream.starts_with("flows-")) << stream;
    EXPECT_EQ(stream.size(), 22u);
    reader.advance(batch, 2);
    cursors = cursors_of(reader);
  }
  rename("flows.log", "flows.log.1");
  add("flows.log", "a\nc\n");
  Tailer reader = tailer(cursors);
  const TailBatch batch = *reader.read().value();
  EXPECT_EQ(batch.stream, stream);
  EXPECT_EQ(batch.lines, "b\n");
  reader.advance(batch, batch.end);
  const TailBatch next = *reader.read().value();
  EXPECT_EQ(next.lines, "a\nc\n");
  EXPECT_NE(next.stream, stream);
}

TEST_F(TailerTest, ATruncatedFileIsAnotherStreamFromItsStart) {
  const struct {
    const char* name;
    std::string before, after;
  } cases[] = {
      {"shorter", "a\nb\nc\n", "x\n"},
      {"as long", "a\nb\nc\n", "x\ny\nz\n"},
      {"longer", "a\nb\nc\n", "x\ny\nz\n0\n"},
      {"the same first line", "a\nb\nc\n", "a\n"},
  };
  for (const auto& c : cases) {
    for (const bool restarted : {false, true}) {
      SCOPED_TRACE(std::string(c.name) + (restarted ? ", restarted" : ""));
      write("flows.log", c.before);
      Tailer reader = tailer();
      const std::string stream = reader.read().value()->stream;
      EXPECT_EQ(drain(reader), c.before);
      // std::ofstream truncates in place.
      write("flows.log", c.after);
      Tailer again = tailer(cursors_of(reader));
      Tailer& now = restarted ? again : reader;
      const auto batch = now.read().value();
      // As long, with another first line and nothing to read behind the cursor: seen when it grows.
      if (c.after.size() == c.before.size() && !restarted) {
        EXPECT_FALSE(batch.has_value());
        add("flows.log", "w\n");
        EXPECT_EQ(drain(now), c.after + "w\n");
      } else {
        ASSERT_TRUE(batch.has_value());
        EXPECT_NE(batch->stream, stream);
        EXPECT_EQ(drain(now), c.after);
      }
      std::filesystem::remove(folder_ + "/flows.log");
    }
  }
}

TEST_F(TailerTest, AFileThatIsRemovedInTheMiddleOfAReadIsReadToItsEnd) {
  add("flows.log", "a\nb\n");
  Tailer reader = tailer({}, 3);
  const TailBatch batch = *reader.read().value();
  reader.advance(batch, batch.end);
  std::filesystem::remove(folder_ + "/flows.log");
  add("flows.log", "c\n");
  EXPECT_EQ(drain(reader), "b\nc\n");
  EXPECT_EQ(reader.stats().files_lost, 0u);
}

TEST_F(TailerTest, WhatWasRemovedUnreadIsCounted) {
  add("flows.log.2", "a\n");
  add("flows.log.1", "bbb\n");
  add("flows.log", "c\n");
  Tailer reader = tailer();
  ASSERT_TRUE(reader.read().value().has_value());
  std::filesystem::remove(folder_ + "/flows.log.2");
  std::filesystem::remove(folder_ + "/flows.log.1");
  rename("flows.log", "flows.log.1");
  add("flows.log", "d\n");
  EXPECT_EQ(drain(reader), "a\nc\nd\n");
  EXPECT_EQ(reader.stats().files_lost, 1u);
  EXPECT_EQ(reader.stats().bytes_lost, 4u);
}

TEST_F(TailerTest, ALineThatIsTooLongIsSkippedAndCounted) {
  add("flows.log", "a\n" + std::string(10'000, 'x') + "\nb\n");
  Tailer reader = tailer({}, 16);
  EXPECT_EQ(drain(reader), "a\nb\n");
  EXPECT_EQ(reader.stats().lines_too_long, 1u);
  EXPECT_EQ(reader.stats().bytes_too_long, 10'001u);
  // One that is longer than a batch, but not too long.
  add("flows.log", std::string(3'000, 'y') + "\nc\n");
  EXPECT_EQ(drain(reader), std::string(3'000, 'y') + "\nc\n");
}

TEST_F(TailerTest, CursorsSurviveInTheirFileAndDamageIsFound) {
  const std::string path = folder_ + "/x.cursors";
  EXPECT_TRUE(load_cursors(path).value().empty());
  const std::vector<Cursor> cursors = {{"flows", {1, -2, 3, 4, 5}, 6}, {"dns", {~0ULL, 1, ~0ULL, ~0U, 0}, ~0ULL}};
  ASSERT_TRUE(store_cursors(path, cursors).ok());
  const auto loaded = load_cursors(path);
  ASSERT_TRUE(loaded.ok()) << loaded.error().message;
  ASSERT_EQ(loaded.value().size(), 2u);
  for (std::size_t i = 0; i < 2; ++i) {
    EXPECT_EQ(loaded.value()[i].log, cursors[i].log);
    EXPECT_EQ(loaded.value()[i].generation, cursors[i].generation);
    EXPECT_EQ(loaded.value()[i].offset, cursors[i].offset);
  }
  const std::string text = read("x.cursors");
  for (std::size_t i = 0; i < text.size(); ++i) {
    std::string damaged = text;
    damaged[i] ^= 1;
    write("x.cursors", damaged);
    EXPECT_FALSE(load_cursors(path).ok()) << "byte " << i;
    write("x.cursors", text.substr(0, i));
    EXPECT_FALSE(load_cursors(path).ok()) << "cut at " << i;
  }
  EXPECT_FALSE(store_cursors(folder_ + "/no/x", {}).ok());
}

/// The writer rotates, dies in the middle of a line and is started again; the reader delivers some, forgets what it did
/// since its cursors were stored, and is started again. By stream and range, every line comes once.
TEST_F(TailerTest, EveryLineComesOnceByStreamAndRangeWhateverIsKilled) {
  std::mt19937 random(7);
  options_.max_bytes = 2'000;
  options_.max_files = 1000;
  std::unique_ptr<LogFile> writer = open();
  std::vector<Cursor> stored;
  Tailer reader = tailer({}, 300);
  std::map<std::string, std::map<std::uint64_t, std::string>> received;
  int written = 0;
  const auto step = [&](std::uint_fast32_t what) {
    if (what < 40) {
      for (auto i = random() % 9; i > 0; --i) {
        writer->buffer() += "line " + std::to_string(written++) + std::string(random() % 90, '.') + "\n";
      }
      ASSERT_TRUE(writer->flush(0));
    } else if (what < 90) {
      const auto batch = reader.read();
      ASSERT_TRUE(batch.ok());
      if (!batch.value()) return;
      std::uint64_t at = batch.value()->begin;
      for (const char c : batch.value()->lines) {
        auto& line = received[batch.value()->stream];
        line[at] = c;
        ++at;
      }
      reader.advance(*batch.value(), batch.value()->end);
    } else if (what < 94) {
      stored = cursors_of(reader);
    } else if (what < 97) {
      reader = tailer(stored, 300);
    } else {
      writer.reset();
      add("flows.log", "torn");
      const auto ignored = reader.read();
      writer = open();
    }
  };
  for (int i = 0; i < 4'000; ++i) step(random() % 100);
  for (int i = 0; i < 2'000; ++i) step(50);
  std::set<int> numbers;
  int lines = 0;
  for (const auto& [stream, bytes] : received) {
    std::string text;
    std::uint64_t expected = 0;
    for (const auto& [at, byte] : bytes) {
      ASSERT_EQ(at, expected++) << stream;
      text += byte;
    }
    std::istringstream in(text);
    for (std::string line; std::getline(in, line); ++lines) numbers.insert(std::stoi(line.substr(5)));
  }
  EXPECT_EQ(lines, written);
  EXPECT_EQ(numbers.size(), static_cast<std::size_t>(written));
  EXPECT_GT(received.size(), 20u);
}

}  // namespace
}  // namespace weir::flowlog
