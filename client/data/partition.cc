#include "client/data/partition.h"

#include <algorithm>
#include <cmath>

#include "common/base/random.h"

namespace consilium {
namespace {

// Gamma(shape, 1), by Marsaglia and Tsang (2000); their section 6 for shapes below 1.
double Gamma(double shape, Random& random) {
  if (shape < 1) {
    const double boost = std::pow(1 - random.Uniform(), 1 / shape);
    return Gamma(shape + 1, random) * boost;
  }
  const double d = shape - 1.0 / 3;
  const double c = 1 / std::sqrt(9 * d);
  while (true) {
    const double x = random.Normal();
    const double root = 1 + c * x;
    if (root <= 0) continue;
    const double v = root * root * root;
    const double u = 1 - random.Uniform();  // above 0
    if (std::log(u) < 0.5 * x * x + d - d * v + d * std::log(v)) return d * v;
  }
}

std::vector<double> Dirichlet(double alpha, int size, Random& random) {
  std::vector<double> shares;
  double sum = 0;
  for (int i = 0; i < size; ++i) sum += shares.emplace_back(Gamma(alpha, random));
  // With a tiny alpha all may round to 0: then one has everything.
  if (sum == 0) shares[random.Below(shares.size())] = sum = 1;
  for (double& share : shares) share /= sum;
  return shares;
}

}  // namespace

StatusOr<std::vector<Manifest>> Partition(const Manifest& manifest,
                                          const PartitionOptions& options) {
  if (options.sites < 1 || !(options.alpha > 0)) {
    return InvalidArgument("{} sites and alpha {}, want both above 0", options.sites,
                           options.alpha);
  }
  const auto sites = static_cast<std::size_t>(options.sites);
  Random random = Random::For(options.seed, 1);
  std::vector<double> shares(sites, 1.0 / options.sites);
  if (options.kind == PartitionKind::kQuantity) {
    shares = Dirichlet(options.alpha, options.sites, random);
  }
  std::vector<std::size_t> site_of(manifest.size());
  // How many images each site is short of its share, over the labels so far.
  std::vector<double> lacking(sites);
  for (const auto& [label, patients] : GroupPatients(manifest, options.seed)) {
    if (options.kind == PartitionKind::kDirichlet) {
      shares = Dirichlet(options.alpha, options.sites, random);
    }
    std::size_t images = 0;
    for (const auto& patient : patients) images += patient.size();
    // Each patient goes to the site that is furthest below its share.
    for (std::size_t k = 0; k < sites; ++k) lacking[k] += shares[k] * static_cast<double>(images);
    for (const auto& patient : patients) {
      const auto site =
          static_cast<std::size_t>(std::ranges::max_element(lacking) - lacking.begin());
      lacking[site] -= static_cast<double>(patient.size());
      for (const std::size_t image : patient) site_of[image] = site;
    }
  }
  std::vector<Manifest> parts(sites);
  for (std::size_t i = 0; i < manifest.size(); ++i) parts[site_of[i]].push_back(manifest[i]);
  for (std::size_t k = 0; k < sites; ++k) {
    if (parts[k].empty()) {
      return InvalidArgument(
          "site {} of {} would have no image: want another seed, fewer sites or a larger alpha",
          k + 1, options.sites);
    }
  }
  return parts;
}

StatusOr<std::map<std::string, Manifest>> PartitionByColumn(const std::filesystem::path& csv,
                                                            const std::filesystem::path& root,
                                                            const std::string& column) {
  CSL_ASSIGN_OR_RETURN(const Manifest manifest, ReadManifest(csv, root));
  CSL_ASSIGN_OR_RETURN(const std::vector<std::string> values, ReadColumn(csv, column));
  if (values.size() != manifest.size()) {
    return InvalidArgument("{} was changed while it was read", csv.string());
  }
  std::map<std::string, Manifest> parts;
  std::map<std::string, std::string> value_of;  // by patient
  for (std::size_t i = 0; i < manifest.size(); ++i) {
    const std::string& patient = manifest[i].patient;
    const std::string& value = values[i];
    if (value.empty()) {
      return InvalidArgument("{}: {} has no {}", csv.string(), manifest[i].path.string(), column);
    }
    if (!patient.empty() && value_of.emplace(patient, value).first->second != value) {
      return InvalidArgument("{}: a patient is of {} '{}' and '{}'; the second with {}",
                             csv.string(), column, value_of.at(patient), value,
                             manifest[i].path.string());
    }
    parts[value].push_back(manifest[i]);
  }
  return parts;
}

}  // namespace consilium
