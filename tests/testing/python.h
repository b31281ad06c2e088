#pragma once

#include <cstdlib>
#include <string>

namespace consilium::testing {

// Debian's Python, the one that has python3-torch; another may come first on the PATH.
inline constexpr char kPython[] = "/usr/bin/python3";

// Runs one of the tests' Python scripts; whether it exited with 0. Its output is the test's.
inline bool RunPython(const std::string& script, const std::string& arguments) {
  const std::string command =
      std::string(kPython) + " " + CONSILIUM_SOURCE_DIR "/tests/" + script + " " + arguments;
  return std::system(command.c_str()) == 0;
}

inline bool PythonHas(const std::string& module) {
  const std::string command = std::string(kPython) + " -c 'import " + module + "' >/dev/null 2>&1";
  return std::system(command.c_str()) == 0;
}

}  // namespace consilium::testing
