#include "common/metrics/plot.h"

#include <fmt/format.h>

#include <array>

namespace consilium {
namespace {

constexpr double kSide = 360;
constexpr double kLeft = 48;
constexpr double kTop = 30;
constexpr double kSize = 270;  // of the square between the axes

// Told apart by who does not tell red from green (Okabe and Ito 2008).
constexpr std::array<const char*, 7> kColours = {"#0072b2", "#d55e00", "#009e73", "#cc79a7",
                                                 "#e69f00", "#56b4e9", "#000000"};

double AtX(double x) { return kLeft + kSize * x; }
double AtY(double y) { return kTop + kSize * (1 - y); }

std::string Axes(const Plot& plot) {
  std::string svg =
      fmt::format(R"(<rect x="{}" y="{}" width="{}" height="{}" fill="none" stroke="#444"/>)",
                  kLeft, kTop, kSize, kSize);
  for (int tick = 0; tick <= 5; ++tick) {
    const double value = tick / 5.0;
    svg += fmt::format(R"(<text x="{:.1f}" y="{}" text-anchor="middle">{:.1f}</text>)", AtX(value),
                       kTop + kSize + 16, value);
    svg += fmt::format(R"(<text x="{}" y="{:.1f}" text-anchor="end">{:.1f}</text>)", kLeft - 6,
                       AtY(value) + 4, value);
    svg += fmt::format(R"(<path d="M{0:.1f} {1}V{2}M{3} {4:.1f}H{5}" stroke="#ddd" fill="none"/>)",
                       AtX(value), kTop, kTop + kSize, kLeft, AtY(value), kLeft + kSize);
  }
  svg += fmt::format(R"(<text x="{}" y="{}" text-anchor="middle">{}</text>)", kLeft + kSize / 2,
                     kTop + kSize + 34, EscapeMarkup(plot.x));
  svg += fmt::format(
      R"svg(<text x="12" y="{0}" text-anchor="middle" transform="rotate(-90 12 {0})">{1}</text>)svg",
      kTop + kSize / 2, EscapeMarkup(plot.y));
  svg += fmt::format(R"(<text x="{}" y="18" font-weight="bold">{}</text>)", kLeft,
                     EscapeMarkup(plot.title));
  if (plot.has_diagonal) {
    svg +=
        fmt::format(R"(<path d="M{} {}L{} {}" stroke="#888" stroke-dasharray="4 4" fill="none"/>)",
                    AtX(0), AtY(0), AtX(1), AtY(1));
  }
  return svg;
}

std::string Line(const Series& series, std::size_t number) {
  const char* colour = kColours[number % kColours.size()];
  std::string path;
  for (const auto& [x, y] : series.points) {
    path += fmt::format("{}{:.1f} {:.1f}", path.empty() ? "M" : "L", AtX(x), AtY(y));
  }
  const double y = kTop + kSize - 14.0 * static_cast<double>(number + 1);
  return fmt::format(R"(<path d="{0}" stroke="{1}" stroke-width="2" fill="none"/>)"
                     R"(<path d="M{2} {3:.1f}h16" stroke="{1}" stroke-width="3"/>)"
                     R"(<text x="{4}" y="{5:.1f}">{6}</text>)",
                     path, colour, kLeft + 120, y, kLeft + 142, y + 4, EscapeMarkup(series.name));
}

}  // namespace

std::string ToSvg(const Plot& plot) {
  std::string svg = fmt::format(
      R"(<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {0} {0}" width="{0}" height="{0}" )"
      R"(font-family="sans-serif" font-size="11" role="img" aria-label="{1}">)",
      kSide, EscapeMarkup(plot.title));
  svg += Axes(plot);
  for (std::size_t i = 0; i < plot.series.size(); ++i) svg += Line(plot.series[i], i);
  return svg + "</svg>\n";
}

std::string EscapeMarkup(const std::string& text) {
  std::string escaped;
  for (const char c : text) {
    switch (c) {
      case '&':
        escaped += "&amp;";
        break;
      case '<':
        escaped += "&lt;";
        break;
      case '>':
        escaped += "&gt;";
        break;
      case '"':
        escaped += "&quot;";
        break;
      default:
        escaped += c;
    }
  }
  return escaped;
}

}  // namespace consilium
