#include "metrics/registry.h"

#include <gtest/gtest.h>

#include <limits>
#include <thread>

namespace weir::metrics {
namespace {

TEST(Registry, TextIsThatOfTheExpositionFormat) {
  Registry registry;
  registry.counter("weir_events_total", "Events seen.", {{"source", "ebpf"}}).set(std::uint64_t{12'345'678'901'234});
  registry.counter("weir_events_total", "Other help.", {{"source", "nf\"log\\\n"}}).add(2);
  registry.gauge("weir_cpu_seconds", "Line one\nand \\ two.").set(0.25);
  registry.gauge("weir_limit", "None.").set(std::numeric_limits<double>::infinity());
  EXPECT_EQ(registry.text(),
            "# HELP weir_cpu_seconds Line one\\nand \\\\ two.\n"
            "# TYPE weir_cpu_seconds gauge\n"
            "weir_cpu_seconds 0.25\n"
            "# HELP weir_events_total Events seen.\n"
            "# TYPE weir_events_total counter\n"
            "weir_events_total{source=\"ebpf\"} 12345678901234\n"
            "weir_events_total{source=\"nf\\\"log\\\\\\n\"} 2\n"
            "# HELP weir_limit None.\n"
            "# TYPE weir_limit gauge\n"
            "weir_limit +Inf\n");
}

TEST(Registry, TheSameNameAndLabelsAreOneSeries) {
  Registry registry;
  Value& first = registry.counter("a_total", "A.", {{"x", "1"}});
  for (int i = 0; i < 100; ++i) registry.counter("a_total", "A.", {{"x", std::to_string(i)}});
  EXPECT_EQ(&registry.counter("a_total", "A.", {{"x", "1"}}), &first);
}

TEST(Registry, OneThreadWritesWhileOthersRead) {
  Registry registry;
  Value& value = registry.counter("a_total", "A.");
  std::jthread writer([&] {
    for (int i = 1; i <= 10'000; ++i) {
      value.set(static_cast<double>(i));
      if (i % 100 == 0) registry.counter("b_total", "B.", {{"i", std::to_string(i)}}).add(1);
    }
  });
  std::string text;
  do text = registry.text();
  while (text.find("a_total 10000\n") == std::string::npos);
}

}  // namespace
}  // namespace weir::metrics
