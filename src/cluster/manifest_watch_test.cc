#include "cluster/manifest_watch.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>

namespace weir::cluster {
namespace {

namespace fs = std::filesystem;

constexpr std::int64_t kNow = 1'800'000'000'000'000'000;

std::string pod(const std::string& name, const std::string& address, const std::string& metadata = "") {
  return "{apiVersion: v1, kind: Pod, metadata: {name: " + name + metadata + "}, status: {podIP: " + address +
         "}}\n---\n";
}

class ManifestWatchTest : public testing::Test {
 protected:
  void SetUp() override {
    folder_ = testing::TempDir() + "/weir-watch-" + std::to_string(::getpid());
    fs::remove_all(folder_);
    fs::create_directories(folder_);
  }
  void TearDown() override { fs::remove_all(folder_); }

  std::string path(const std::string& name) const { return folder_ + "/" + name; }
  /// Written in place, and so long ago that the file counts as settled.
  void write(const std::string& name, const std::string& text) {
    std::ofstream(path(name)) << text;
    age(name, ++writes_);
  }
  void age(const std::string& name, int seconds) {
    const timespec times[2] = {{1'700'000'000 + seconds, 0}, {1'700'000'000 + seconds, 0}};
    ASSERT_EQ(::utimensat(AT_FDCWD, path(name).c_str(), times, 0), 0);
  }
  /// "+Pod/default/a -Pod/default/b !error …".
  static std::string text(const ManifestWatch::Changes& changes) {
    std::string text;
    for (const ObjectChange& change : changes.objects) {
      text += (change.action == ObjectChange::Action::kPut ? "+" : "-") + object_key(change.object) + " ";
    }
    for (const std::string& error : changes.errors) text += "!" + error.substr(error.rfind('/') + 1) + " ";
    return text;
  }

  std::string folder_;
  int writes_ = 0;
};

TEST_F(ManifestWatchTest, TellsWhatIsThereThenWhatChanges) {
  write("a.yaml", pod("a", "10.0.0.1") + pod("b", "10.0.0.2"));
  ManifestWatch watch({folder_});
  const ManifestWatch::Changes first = watch.poll(kNow);
  EXPECT_EQ(text(first), "+Pod/default/a +Pod/default/b ");
  EXPECT_EQ(first.objects[0].time_ns, kNoTime) << "so from the start";
  EXPECT_FALSE(first.objects[0].live);
  EXPECT_EQ(text(watch.poll(kNow)), "");

  write("a.yaml", pod("a", "10.0.0.1") + pod("c", "10.0.0.3"));
  const ManifestWatch::Changes second = watch.poll(kNow + 5);
  EXPECT_EQ(text(second), "-Pod/default/b +Pod/default/c ");
  EXPECT_EQ(second.objects[0].time_ns, kNow + 5);
  EXPECT_TRUE(second.objects[0].live);

  write("a.yaml", pod("a", "10.0.0.9") + pod("c", "10.0.0.3"));
  EXPECT_EQ(text(watch.poll(kNow)), "+Pod/default/a ");
}

TEST_F(ManifestWatchTest, FilesAppearAndVanishInFolders) {
  write("a.yaml", pod("a", "10.0.0.1"));
  ManifestWatch watch({folder_});
  watch.poll(kNow);
  fs::create_directories(path("sub"));
  write("sub/b.yml", pod("b", "10.0.0.2"));
  write("notes.txt", "{");
  EXPECT_EQ(text(watch.poll(kNow)), "+Pod/default/b ");
  fs::remove(path("a.yaml"));
  EXPECT_EQ(text(watch.poll(kNow)), "-Pod/default/a ");
}

TEST_F(ManifestWatchTest, AMalformedFileKeepsItsLastStateAndIsNamedOnce) {
  write("a.yaml", pod("a", "10.0.0.1"));
  write("b.yaml", pod("b", "10.0.0.2"));
  ManifestWatch watch({folder_});
  watch.poll(kNow);
  write("a.yaml", pod("a", "nowhere"));
  write("b.yaml", pod("b", "10.0.0.3"));
  const std::string told = text(watch.poll(kNow));
  EXPECT_NE(told.find("+Pod/default/b !a.yaml: document 1 (Pod a): status.podIP: 'nowhere'"), std::string::npos)
      << told;
  EXPECT_EQ(text(watch.poll(kNow)), "") << "once, and b did not change again";
  write("a.yaml", "{");
  EXPECT_EQ(text(watch.poll(kNow)).substr(0, 8), "!a.yaml:") << "another error";
  write("a.yaml", pod("a", "10.0.0.4"));
  EXPECT_EQ(text(watch.poll(kNow)), "+Pod/default/a ");
}

TEST_F(ManifestWatchTest, ANamedFileThatGoesKeepsItsLastState) {
  write("a.yaml", pod("a", "10.0.0.1"));
  ManifestWatch watch({path("a.yaml"), path("missing.yaml")});
  EXPECT_EQ(text(watch.poll(kNow)), "+Pod/default/a !missing.yaml: No such file or directory ");
  fs::remove(path("a.yaml"));
  EXPECT_EQ(text(watch.poll(kNow)), "!a.yaml: No such file or directory ");
  EXPECT_EQ(text(watch.poll(kNow)), "");
  write("a.yaml", pod("a", "10.0.0.1"));
  EXPECT_EQ(text(watch.poll(kNow)), "") << "it is what it was";
  write("missing.yaml", pod("m", "10.0.0.2"));
  EXPECT_EQ(text(watch.poll(kNow)), "+Pod/default/m ");
  fs::remove_all(folder_);
  ManifestWatch gone({folder_});
  EXPECT_EQ(text(gone.poll(kNow)).substr(0, 1), "!");
}

TEST_F(ManifestWatchTest, AFolderThatGoesKeepsItsLastState) {
  fs::create_directories(path("sub"));
  write("sub/a.yaml", pod("a", "10.0.0.1"));
  ManifestWatch watch({path("sub")});
  watch.poll(kNow);
  fs::rename(path("sub"), path("away"));
  const std::string told = text(watch.poll(kNow));
  EXPECT_EQ(told.find("-Pod"), std::string::npos) << told;
  EXPECT_NE(told.find("!sub: No such file or directory"), std::string::npos) << told;
  fs::rename(path("away"), path("sub"));
  EXPECT_EQ(text(watch.poll(kNow)), "");
}

TEST_F(ManifestWatchTest, ASecondWriteWithinATickOfTheClockIsSeen) {
  write("a.yaml", pod("a", "10.0.0.1"));
  ManifestWatch watch({folder_});
  watch.poll(kNow);
  // Equal in inode, size and modification time: only the age of the write tells that there may be more.
  std::ofstream(path("a.yaml")) << pod("a", "10.0.0.2");
  EXPECT_EQ(text(watch.poll(kNow)), "+Pod/default/a ");
  struct stat before {};
  ASSERT_EQ(::stat(path("a.yaml").c_str(), &before), 0);
  std::ofstream(path("a.yaml")) << pod("a", "10.0.0.3");
  const timespec times[2] = {before.st_atim, before.st_mtim};
  ASSERT_EQ(::utimensat(AT_FDCWD, path("a.yaml").c_str(), times, 0), 0);
  EXPECT_EQ(text(watch.poll(kNow)), "+Pod/default/a ");
}

TEST_F(ManifestWatchTest, ReplacingAFileByRenamingIsSeen) {
  write("a.yaml", pod("a", "10.0.0.1"));
  ManifestWatch watch({path("a.yaml")});
  watch.poll(kNow);
  write("new", pod("a", "10.0.0.2"));
  fs::rename(path("new"), path("a.yaml"));
  EXPECT_EQ(text(watch.poll(kNow)), "+Pod/default/a ");
}

TEST_F(ManifestWatchTest, OfAnObjectInSeveralFilesTheLastCounts) {
  write("a.yaml", pod("a", "10.0.0.1"));
  write("b.yaml", pod("a", "10.0.0.2"));
  ManifestWatch watch({folder_});
  const ManifestWatch::Changes first = watch.poll(kNow);
  ASSERT_EQ(first.objects.size(), 1U);
  EXPECT_EQ(std::get<Pod>(first.objects[0].object).ips[0].to_string(), "10.0.0.2");
  fs::remove(path("b.yaml"));
  const ManifestWatch::Changes second = watch.poll(kNow);
  EXPECT_EQ(text(second), "+Pod/default/a ");
  EXPECT_EQ(std::get<Pod>(second.objects[0].object).ips[0].to_string(), "10.0.0.1");
}

TEST_F(ManifestWatchTest, PodsThatHadANameOneAfterTheOtherAreTwo) {
  write("a.yaml", pod("a", "10.0.0.1", ", uid: 1") + pod("a", "10.0.0.2", ", uid: 2"));
  ManifestWatch watch({folder_});
  EXPECT_EQ(text(watch.poll(kNow)), "+Pod/default/a +Pod/default/a ");
  write("a.yaml", pod("a", "10.0.0.2", ", uid: 2"));
  const ManifestWatch::Changes second = watch.poll(kNow);
  ASSERT_EQ(text(second), "-Pod/default/a ");
  EXPECT_EQ(std::get<Pod>(second.objects[0].object).meta.uid, "1");
}

TEST_F(ManifestWatchTest, NotesAreThoseOfTheFilesAsTheyAre) {
  write("a.yaml", "{apiVersion: v1, kind: ConfigMap, metadata: {name: c}}");
  ManifestWatch watch({folder_});
  watch.poll(kNow);
  EXPECT_EQ(watch.notes().skipped.size(), 1U);
  write("a.yaml", "");
  watch.poll(kNow);
  EXPECT_EQ(watch.notes().skipped.size(), 0U);
}

}  // namespace
}  // namespace weir::cluster
