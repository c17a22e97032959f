#include <gtest/gtest.h>
#include <poll.h>
#include <sys/socket.h>

#include <algorithm>
#include <ctime>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "capture/interface_watch.h"
#include "tests/support/network_test.h"

namespace weir::capture {
namespace {

using Changes = InterfaceWatch::Changes;

std::vector<std::string> names(const std::vector<PodInterface>& interfaces) {
  std::vector<std::string> all;
  for (const PodInterface& interface : interfaces) all.push_back(interface.name);
  std::sort(all.begin(), all.end());
  return all;
}
using Names = std::vector<std::string>;

std::int64_t now_ns() {
  timespec now{};
  clock_gettime(CLOCK_REALTIME, &now);
  return now.tv_sec * 1'000'000'000LL + now.tv_nsec;
}

class InterfaceWatchKernel : public tests::NetworkTest {
 protected:
  void watch(InterfaceWatch::Options options = {}) {
    node.run([&] {
      auto made = InterfaceWatch::create(std::move(options));
      ASSERT_TRUE(made.ok()) << made.error().message;
      watch_ = std::move(made).value();
    });
  }
  Changes poll() {
    auto changes = watch_->poll();
    EXPECT_TRUE(changes.ok()) << changes.error().message;
    return changes.ok() ? std::move(changes).value() : Changes{};
  }
  bool readable() const {
    pollfd wait{watch_->fd(), POLLIN, 0};
    return ::poll(&wait, 1, 0) == 1;
  }
  /// A veth pair whose other half is in the namespace of a pod.
  void add_pod(const std::string& name, const tests::NetworkNamespace& pod) {
    ip("link add " + name + " type veth peer name eth0 netns " + pod.path());
  }

  std::unique_ptr<InterfaceWatch> watch_;
};

TEST_F(InterfaceWatchKernel, FirstListsThePodsInterfacesThatAreThere) {
  tests::NetworkNamespace a, b;
  add_pod("calia", a);
  add_pod("lxcb", b);
  ip("link add eth1 type veth peer name other0");
  ip("link add cali.bridge type bridge");
  watch();
  EXPECT_TRUE(readable());
  const Changes first = poll();
  EXPECT_EQ(names(first.added), (Names{"calia", "lxcb"})) << "no veth of another name, nothing else of that name";
  EXPECT_TRUE(first.removed.empty());
  std::set<int> zones, indexes;
  for (const PodInterface& interface : first.added) {
    zones.insert(interface.zone);
    indexes.insert(interface.index);
    EXPECT_EQ(interface.since_ns, 0);
  }
  EXPECT_EQ(zones, (std::set<int>{1, 2}));
  EXPECT_EQ(indexes.size(), 2u);
  EXPECT_FALSE(readable());
  const Changes second = poll();
  EXPECT_TRUE(second.added.empty() && second.removed.empty());
}

TEST_F(InterfaceWatchKernel, TellsWhatComesAndGoes) {
  watch();
  EXPECT_TRUE(poll().added.empty());
  const std::int64_t before = now_ns();
  tests::NetworkNamespace a;
  add_pod("calia", a);
  EXPECT_TRUE(readable());
  const Changes came = poll();
  ASSERT_EQ(names(came.added), Names{"calia"});
  EXPECT_GE(came.added[0].since_ns, before);
  EXPECT_LE(came.added[0].since_ns, now_ns());
  ip("link set calia up");
  ip("link set calia down");
  const Changes state_only = poll();
  EXPECT_TRUE(state_only.added.empty() && state_only.removed.empty()) << "a state is no coming or going";
  ip("link del calia");
  const Changes gone = poll();
  EXPECT_EQ(names(gone.removed), Names{"calia"});
  EXPECT_EQ(gone.removed.at(0).zone, came.added[0].zone);
  tests::NetworkNamespace b;
  add_pod("calia", b);
  const Changes again = poll();
  ASSERT_EQ(names(again.added), Names{"calia"});
  EXPECT_NE(again.added[0].zone, came.added[0].zone) << "a zone is not given again while there are fresh ones";
}

TEST_F(InterfaceWatchKernel, WhatComesAndGoesBetweenTwoLooksIsNotTold) {
  watch();
  poll();
  tests::NetworkNamespace a;
  add_pod("calia", a);
  ip("link del calia");
  const Changes none = poll();
  EXPECT_TRUE(none.added.empty() && none.removed.empty());
}

TEST_F(InterfaceWatchKernel, ANewNameMakesOrEndsAPodsInterface) {
  tests::NetworkNamespace a;
  add_pod("tmp0", a);
  watch();
  EXPECT_TRUE(poll().added.empty());
  ip("link set tmp0 name calia");
  EXPECT_EQ(names(poll().added), Names{"calia"});
  ip("link set calia name lxca");
  const Changes renamed = poll();
  EXPECT_EQ(names(renamed.removed), Names{"calia"});
  EXPECT_EQ(names(renamed.added), Names{"lxca"});
  ip("link set lxca name tmp0");
  EXPECT_EQ(names(poll().removed), Names{"lxca"});
}

TEST_F(InterfaceWatchKernel, LeavingABridgeIsNotGoing) {
  tests::NetworkNamespace a;
  add_pod("veth1", a);
  ip("link add br0 type bridge");
  watch();
  EXPECT_EQ(names(poll().added), Names{"veth1"});
  ip("link set veth1 master br0");
  ip("link set veth1 nomaster");
  const Changes none = poll();
  EXPECT_TRUE(none.added.empty() && none.removed.empty());
}

TEST_F(InterfaceWatchKernel, MovingToAnotherNamespaceIsGoing) {
  tests::NetworkNamespace a, b;
  add_pod("veth1", a);
  watch();
  EXPECT_EQ(names(poll().added), Names{"veth1"});
  ip("link set veth1 netns " + b.path());
  EXPECT_EQ(names(poll().removed), Names{"veth1"});
}

TEST_F(InterfaceWatchKernel, NamesAndKindsAreOptions) {
  ip("link add pod-1 type bridge");
  ip("link add cali2 type bridge");
  InterfaceWatch::Options options;
  options.names = {"pod-[0-9]"};
  options.any_kind = true;
  watch(options);
  EXPECT_EQ(names(poll().added), Names{"pod-1"});
}

TEST_F(InterfaceWatchKernel, AfterLostNotificationsADumpTellsAll) {
  tests::NetworkNamespace a;
  add_pod("calia", a);
  watch();
  EXPECT_EQ(names(poll().added), Names{"calia"});
  // The kernel makes at least 2,304 bytes of it: room for one notification.
  const int small = 1;
  ASSERT_EQ(setsockopt(watch_->fd(), SOL_SOCKET, SO_RCVBUF, &small, sizeof small), 0);
  ip("link set calia up");
  for (int i = 0; i < 5; ++i)
    ip("link add veth" + std::to_string(i) + " type veth peer name other" + std::to_string(i));
  ip("link del calia");
  ip("link del veth3");
  EXPECT_EQ(watch_->overruns(), 0u);
  // The dump goes through the same small buffer, part by part.
  Changes all;
  while (readable()) {
    const Changes part = poll();
    all.added.insert(all.added.end(), part.added.begin(), part.added.end());
    all.removed.insert(all.removed.end(), part.removed.begin(), part.removed.end());
  }
  EXPECT_GE(watch_->overruns(), 1u);
  EXPECT_EQ(names(all.added), (Names{"veth0", "veth1", "veth2", "veth4"}));
  EXPECT_EQ(names(all.removed), Names{"calia"});
}

}  // namespace
}  // namespace weir::capture
