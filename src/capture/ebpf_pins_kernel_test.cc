// What a restarted agent finds of the one before.
#include <sys/mount.h>

#include <cstdlib>
#include <filesystem>
#include <set>

#include "bpf/shared.h"
#include "capture/ebpf_kernel_test.h"

namespace weir::capture {
namespace {

class EbpfPinsKernel : public EbpfTest {
 protected:
  void SetUp() override {
    EbpfTest::SetUp();
    if (IsSkipped() || HasFatalFailure()) return;
    // The mount is this process's own, and goes with it.
    ASSERT_EQ(unshare(CLONE_NEWNS), 0);
    ASSERT_EQ(mount(nullptr, "/", nullptr, MS_REC | MS_PRIVATE, nullptr), 0);
    char name[] = "/tmp/weir-pins-XXXXXX";
    root_ = mkdtemp(name);
    if (mount("weir", root_.c_str(), "bpf", 0, nullptr) != 0) {
      const std::string reason = std::string("cannot mount a BPF file system: ") + strerror(errno);
      if (std::getenv("WEIR_CI") != nullptr) FAIL() << reason;
      GTEST_SKIP() << reason;
    }
    options_.pin_path = root_ + "/weir";
    server_ = udp_in(node, kNode);
    client_ = udp_in(*pod, kPod);
  }
  void TearDown() override {
    EbpfTest::TearDown();
    umount2(root_.c_str(), MNT_DETACH);
    rmdir(root_.c_str());
  }
  void send(int packets) {
    for (int i = 0; i < packets; ++i) send_to(client_, "12345678", kNode, local_port(server_));
  }
  std::uint64_t drained() {
    std::uint64_t packets = 0;
    for (const model::FlowDelta& d : drain()) {
      if (d.tuple.dest_port == local_port(server_)) packets += d.packets_out;
    }
    return packets;
  }
  std::set<std::string> pins() const {
    std::set<std::string> names;
    for (const auto& entry : std::filesystem::recursive_directory_iterator(options_.pin_path)) {
      if (!entry.is_directory()) names.insert(entry.path().filename());
    }
    return names;
  }
  void stop() {
    node.run([&] { source.reset(); });
  }

  std::string root_;
  EbpfOptions options_;
  Socket server_, client_;
};

TEST_F(EbpfPinsKernel, TheKernelGoesOnCountingWhileNoAgentRuns) {
  start(options_);
  EXPECT_FALSE(source->replaced_pins());
  send(3);
  EXPECT_EQ(drained(), 3u);
  send(4);
  stop();
  send(5);
  start(options_);
  EXPECT_FALSE(source->replaced_pins());
  send(6);
  EXPECT_EQ(drained(), 4u + 5u + 6u);
  EXPECT_EQ(drained(), 0u);
  // Once more, with the switch in its other position.
  send(1);
  stop();
  start(options_);
  send(1);
  EXPECT_EQ(drained(), 2u);
  EXPECT_TRUE(pins().contains("link-" + std::to_string(interface.index) + "-out"));
}

TEST_F(EbpfPinsKernel, FramesOfTheTimeInBetweenAreThere) {
  const Socket resolver = udp_in(node, kNode, 53);
  start(options_);
  stop();
  send_to(client_, std::string(40, 'q'), kNode, 53);
  start(options_);
  EXPECT_EQ(source->packets().size(), 1u);
}

TEST_F(EbpfPinsKernel, WithoutPinsNothingIsCountedInBetween) {
  start();
  stop();
  send(5);
  start();
  EXPECT_EQ(drained(), 0u);
}

TEST_F(EbpfPinsKernel, PinsOfAnotherLayoutOrSizeAreReplaced) {
  start(options_);
  send(1);
  stop();
  options_.max_flows = 1000;
  start(options_);
  EXPECT_TRUE(source->replaced_pins());
  send(2);
  EXPECT_EQ(drained(), 2u);
  stop();
  // As an older version would have left them.
  std::filesystem::rename(options_.pin_path + "/layout-" + std::to_string(WEIR_BPF_LAYOUT),
                          options_.pin_path + "/layout-0");
  start(options_);
  EXPECT_TRUE(source->replaced_pins());
  EXPECT_FALSE(std::filesystem::exists(options_.pin_path + "/layout-0"));
  send(3);
  EXPECT_EQ(drained(), 3u);
}

TEST_F(EbpfPinsKernel, InterfacesThatWentInBetweenLeaveNoPinsAndCountedLosses) {
  start(options_);
  send(2);
  stop();
  ip("link del cali1");
  start(options_, false);
  EXPECT_EQ(drained(), 0u);
  EXPECT_EQ(source->stats().unknown_interface.packets, 2u);
  for (const std::string& name : pins()) EXPECT_NE(name.substr(0, 5), "link-") << name;
}

TEST_F(EbpfPinsKernel, RemovedPinsEndTheCounting) {
  start(options_);
  stop();
  ASSERT_TRUE(EbpfSource::remove_pins(options_.pin_path).ok());
  EXPECT_TRUE(pins().empty());
  send(3);
  start(options_);
  EXPECT_FALSE(source->replaced_pins());
  EXPECT_EQ(drained(), 0u);
}

TEST_F(EbpfPinsKernel, AFolderElsewhereIsRefusedWithTheRemedy) {
  options_.pin_path = "/tmp";
  const auto made = EbpfSource::create(options_);
  ASSERT_FALSE(made.ok());
  EXPECT_NE(made.error().message.find("mount -t bpf"), std::string::npos) << made.error().message;
}

}  // namespace
}  // namespace weir::capture
