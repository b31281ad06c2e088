#pragma once

// A report as a page that needs nothing else: tables and plots in one file.

#include <string>
#include <vector>

#include "common/metrics/breakdown.h"
#include "common/metrics/plot.h"
#include "common/metrics/scores.h"

namespace consilium {

// The curves of each class against the rest. A class that is alone, or absent, has none.
Plot RocPlot(const Evaluation& evaluation, const std::vector<std::string>& classes);
Plot PrecisionRecallPlot(const Evaluation& evaluation, const std::vector<std::string>& classes);
// The share of positives by predicted probability, in 16 bins of equal width; empty bins are left
// out.
Plot ReliabilityPlot(const Evaluation& evaluation, const std::vector<std::string>& classes);

struct HtmlReport {
  std::string title;
  std::string subject;  // a line: which model, on what
  std::vector<std::string> classes;
  Scores scores;
  std::vector<Breakdown> breakdowns;
  std::string shortcuts;  // what an audit of them found, a sentence; empty: there was none
};
// Whole page, with what such figures are not: a clinical validation.
std::string ToHtml(const HtmlReport& report);

// The global models of a run, as its sites have scored them.
struct HtmlRun {
  struct Site {
    std::string name;
    Evaluation evaluation;
  };
  struct Model {
    int round = 0;
    std::vector<Site> sites;
    Evaluation pooled;  // the sum of theirs
  };
  std::string title;
  std::string subject;
  std::vector<std::string> classes;
  int rounds = 0;             // of the whole run
  std::vector<Model> models;  // by round
};
// Whole page: the course of the run, then the last model by site and pooled. From counts alone, so
// its intervals take every image for independent.
std::string ToHtml(const HtmlRun& run);

}  // namespace consilium
