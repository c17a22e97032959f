#include "app/setting_flags.h"

#include <unistd.h>

namespace weir::app {

void SettingFlags::add_to(CLI::App& app) {
  const auto one_word = [](CLI::Option* option) {
    option->expected(1)->multi_option_policy(CLI::MultiOptionPolicy::TakeAll);
  };
  for (std::size_t i = 0; i < flags_.size(); ++i) {
    one_word(app.add_option(flags_[i].flag, values_[i], flags_[i].help));
  }
  app.add_option("--config", config_file_, "options as a YAML file; docs/configuration.md lists them");
  one_word(app.add_option("--set", set_, "one option: KEY=VALUE"));
}

Result<config::Settings> SettingFlags::settings() const {
  config::Settings settings;
  if (!config_file_.empty()) TRY(config::load_settings_file(settings, config_file_));
  TRY(config::apply_environment(settings, environ));
  for (const std::string& assignment : set_) {
    const std::size_t equals = assignment.find('=');
    if (equals == std::string::npos) return invalid_argument("--set " + assignment + ": KEY=VALUE is wanted");
    const Status status = config::set_option(settings, assignment.substr(0, equals), assignment.substr(equals + 1));
    if (!status.ok()) return invalid_argument("--set " + status.error().message);
  }
  for (std::size_t i = 0; i < flags_.size(); ++i) {
    std::string value;
    for (const std::string& word : values_[i]) value.append(value.empty() ? "" : ",").append(word);
    if (value.empty()) continue;
    const Status status = config::set_option(settings, flags_[i].key, value);
    if (!status.ok()) return invalid_argument(std::string(flags_[i].flag) + ": " + status.error().message);
  }
  return settings;
}

}  // namespace weir::app
