#include "client/data/check_page.h"

#include <absl/strings/escaping.h>

#include <algorithm>
#include <cmath>
#include <set>

#include "client/data/contact_sheet.h"
#include "common/metrics/breakdown.h"
#include "common/metrics/page.h"
#include "common/metrics/plot.h"

namespace consilium {
namespace {

using Rows = std::vector<std::vector<std::string>>;

constexpr int kColumns = 8;
constexpr int kRows = 5;

std::string Count(std::uint64_t count, bool names) {
  if (count > 0 && count < kSmallestGroup && !names) return "under 5";
  return std::to_string(count);
}

// A total, which would tell a single count that is hidden, to the nearest ten.
std::string Rounded(std::uint64_t total, bool names) {
  return names ? std::to_string(total) : fmt::format("about {}", (total + 5) / 10 * 10);
}

std::string Counts(const DataReport& report, bool names) {
  std::set<std::string> labels;
  for (const auto& [split, by_label] : report.counts) {
    for (const auto& [label, count] : by_label) labels.insert(label);
  }
  Rows rows = {{"label", "patients"}};
  for (const auto& [split, by_label] : report.counts) {
    rows[0].push_back(split.empty() ? "images" : split);
  }
  for (const std::string& label : labels) {
    const auto patients = report.patients_by_label.find(label);
    rows.push_back(
        {label, patients == report.patients_by_label.end() ? "-" : Count(patients->second, names)});
    for (const auto& [split, by_label] : report.counts) {
      const auto found = by_label.find(label);
      rows.back().push_back(Count(found == by_label.end() ? 0 : found->second, names));
    }
  }
  return HtmlTable(rows);
}

// How many images the largest class has for each of the smallest.
std::string Imbalance(const DataReport& report, bool names) {
  std::map<std::string, std::uint64_t> totals;
  for (const auto& [split, by_label] : report.counts) {
    for (const auto& [label, count] : by_label) totals[label] += count;
  }
  if (totals.size() < 2) return "<p>There is one class.</p>\n";
  const auto by_count = [](const auto& a, const auto& b) { return a.second < b.second; };
  const auto [least, most] = std::ranges::minmax_element(totals, by_count);
  if (least->second < kSmallestGroup && !names) return "";  // the ratio would tell it
  return fmt::format("<p>For each image of {} there are {:.1f} of {}.</p>\n",
                     EscapeMarkup(least->first),
                     static_cast<double>(most->second) / static_cast<double>(least->second),
                     EscapeMarkup(most->first));
}

std::string Groups(const std::string& by, const std::map<std::string, std::uint64_t>& counts,
                   bool names) {
  if (counts.empty()) return "";
  Rows rows = {{by, "images"}};
  for (const auto& [name, count] : counts) rows.push_back({name, Count(count, names)});
  return HtmlTable(rows);
}

std::string Sides(const DataReport& report, bool names) {
  Rows rows = {{"shorter side, pixels", "images"}};
  for (const auto& [side, count] : report.shorter_sides) {
    rows.push_back({fmt::format("{} to {}", side, side + 63), Count(count, names)});
  }
  return HtmlTable(rows);
}

std::string Brightness(const DataReport& report) {
  Plot plot{.title = "Brightness of the pixels",
            .x = "black to white",
            .y = "share of the largest",
            .series = {}};
  for (const auto& [label, shares] : report.brightness) {
    const double largest = *std::ranges::max_element(shares);
    Series series{.name = label, .points = {}};
    for (std::size_t b = 0; b < shares.size(); ++b) {
      series.points.emplace_back(
          (static_cast<double>(b) + 0.5) / static_cast<double>(shares.size()), shares[b] / largest);
    }
    plot.series.push_back(std::move(series));
  }
  return ToSvg(plot);
}

std::string Listed(const std::string& what, const std::vector<std::string>& lines, bool names) {
  std::string html = fmt::format("<li>{}: {}", what, lines.size());
  if (names && !lines.empty()) {
    html += "<ul>";
    for (const std::string& line : lines) html += "<li>" + EscapeMarkup(line) + "</li>";
    html += "</ul>";
  }
  return html + "</li>\n";
}

std::vector<std::string> LinesOf(const std::vector<DataReport::Duplicate>& duplicates,
                                 bool across_splits) {
  std::vector<std::string> lines;
  for (const auto& duplicate : duplicates) {
    if (duplicate.across_splits != across_splits) continue;
    std::string line;
    for (const auto& path : duplicate.paths) line += (line.empty() ? "" : ", ") + path.string();
    lines.push_back(std::move(line));
  }
  return lines;
}

std::string Findings(const DataReport& report, bool names) {
  std::vector<std::string> with_text;
  for (const auto& path : report.with_text) with_text.push_back(path.string());
  return "<ul>\n" + Listed("unreadable", report.unreadable, names) +
         Listed("patients in more than one split", report.patients_in_two_splits, names) +
         Listed("the same picture in different splits", LinesOf(report.duplicates, true), names) +
         Listed("the same picture in one split", LinesOf(report.duplicates, false), names) +
         Listed("nearly the same, in different splits", LinesOf(report.near_duplicates, true),
                names) +
         Listed("nearly the same, in one split", LinesOf(report.near_duplicates, false), names) +
         Listed("with what looks like a line of text in the picture", with_text, names) +
         fmt::format("<li>lateral views: {}</li>\n</ul>\n", Count(report.lateral, names));
}

StatusOr<std::string> ContactSheet(const DataReport& report, bool names) {
  const std::set<std::filesystem::path> with_text(report.with_text.begin(), report.with_text.end());
  Manifest shown;
  for (const Example& example : report.manifest) {
    if (names || !with_text.contains(example.path)) shown.push_back(example);
  }
  CSL_ASSIGN_OR_RETURN(const std::string png, EncodeContactSheet(shown, kColumns, kRows));
  return fmt::format(
      R"(<img alt="contact sheet" style="max-width:100%" src="data:image/png;base64,{}">)",
      std::string(absl::Base64Escape(png)));
}

}  // namespace

StatusOr<std::string> ToPage(const DataReport& report, bool names) {
  CSL_ASSIGN_OR_RETURN(const std::string sheet, ContactSheet(report, names));
  const std::string body = fmt::format(
      "<p class=\"note\">{}</p>\n<p>{} images of {} patients.</p>\n{}{}"
      "<h2>Findings</h2>\n{}<h2>Views, sources, sizes</h2>\n{}{}{}"
      "<h2>Brightness</h2>\n{}<h2>Pictures</h2>\n{}\n",
      report.IsSound() ? "Sound: all readable, and no patient or identical picture in two splits."
                       : "Not sound: see the findings.",
      Rounded(report.images, names),
      report.patients == 0 ? "unnamed" : Rounded(report.patients, names), Counts(report, names),
      Imbalance(report, names), Findings(report, names), Groups("view", report.views, names),
      Groups("source", report.sources, names), Sides(report, names), Brightness(report), sheet);
  return HtmlPage("Data", body);
}

}  // namespace consilium
