#pragma once

// Plots as SVG, to stand in a page or alone.

#include <string>
#include <utility>
#include <vector>

namespace consilium {

struct Series {
  std::string name;
  std::vector<std::pair<double, double>> points;  // x and y in [0, 1], in the order of the line
};

struct Plot {
  std::string title;
  std::string x;
  std::string y;
  std::vector<Series> series;
  bool has_diagonal = false;  // dashed, from (0, 0) to (1, 1)
};

// An <svg> element of 360 x 360 units with both axes from 0 to 1 and a legend.
std::string ToSvg(const Plot& plot);

// Text in which nothing is markup.
std::string EscapeMarkup(const std::string& text);

}  // namespace consilium
