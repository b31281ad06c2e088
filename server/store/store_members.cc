#include "server/store/store.h"

namespace consilium {
namespace {

constexpr char kMemberColumns[] =
    "SELECT name, role, revoked, joined, last_seen, COALESCE((SELECT expires FROM certificates "
    "WHERE member = name AND ends = 0 ORDER BY used DESC, expires DESC LIMIT 1), 0) FROM members";

StatusOr<MemberRecord> ReadMemberRow(const Statement& row) {
  MemberRecord member{.name = row.Text(0),
                      .revoked = row.Int(2) != 0,
                      .joined = FromUnixMillis(row.Int(3)),
                      .last_seen = FromUnixMillis(row.Int(4)),
                      .certificate_expires = FromUnixMillis(row.Int(5))};
  CSL_ASSIGN_OR_RETURN(member.role,
                       ToEnum(row.Int(1), Role::kInference, "the role of " + member.name));
  return member;
}

CertificateRecord ReadCertificateRow(const Statement& row) {
  return {.serial = row.Text(0),
          .member = row.Text(1),
          .issued = FromUnixMillis(row.Int(2)),
          .expires = FromUnixMillis(row.Int(3)),
          .used = row.Int(4) != 0,
          .ends = FromUnixMillis(row.Int(5))};
}

}  // namespace

Status Store::AddToken(const TokenRecord& token) {
  MutexLock lock(mu_);
  return db_
      .Prepare("INSERT INTO tokens (hash, member, role, expires, used) VALUES (?, ?, ?, ?, ?)")
      .Bind(token.hash)
      .Bind(token.member)
      .Bind(static_cast<std::int64_t>(token.role))
      .Bind(ToUnixMillis(token.expires))
      .Bind(std::int64_t{token.used})
      .Run();
}

StatusOr<std::optional<TokenRecord>> Store::FindToken(const std::string& hash) {
  MutexLock lock(mu_);
  Statement row =
      db_.Prepare("SELECT hash, member, role, expires, used FROM tokens WHERE hash = ?");
  CSL_ASSIGN_OR_RETURN(const bool found, row.Bind(hash).Step());
  if (!found) return std::nullopt;
  TokenRecord token{.hash = row.Text(0),
                    .member = row.Text(1),
                    .expires = FromUnixMillis(row.Int(3)),
                    .used = row.Int(4) != 0};
  CSL_ASSIGN_OR_RETURN(token.role, ToEnum(row.Int(2), Role::kInference, "the role of a token"));
  return token;
}

Status Store::Enrol(const MemberRecord& member, const CertificateRecord& certificate) {
  MutexLock lock(mu_);
  return db_.Transact([&]() -> Status {
    mu_.AssertHeld();
    ++members_version_;
    CSL_RETURN_IF_ERROR(EndTokens(member.name));
    CSL_RETURN_IF_ERROR(
        db_.Prepare("INSERT INTO members (name, role, revoked, joined, last_seen) "
                    "VALUES (?, ?, 0, ?, 0) ON CONFLICT (name) DO UPDATE SET "
                    "role = excluded.role, revoked = 0, joined = excluded.joined, last_seen = 0")
            .Bind(member.name)
            .Bind(static_cast<std::int64_t>(member.role))
            .Bind(ToUnixMillis(member.joined))
            .Run());
    CSL_RETURN_IF_ERROR(EndCertificates(member.name, member.joined));
    return InsertCertificate(certificate);
  });
}

StatusOr<std::vector<MemberRecord>> Store::ListMembers() {
  MutexLock lock(mu_);
  Statement row = db_.Prepare(std::string(kMemberColumns) + " ORDER BY name");
  std::vector<MemberRecord> members;
  while (true) {
    CSL_ASSIGN_OR_RETURN(const bool more, row.Step());
    if (!more) return members;
    CSL_ASSIGN_OR_RETURN(MemberRecord member, ReadMemberRow(row));
    members.push_back(std::move(member));
  }
}

StatusOr<std::optional<MemberRecord>> Store::FindMember(const std::string& name) {
  MutexLock lock(mu_);
  Statement row = db_.Prepare(std::string(kMemberColumns) + " WHERE name = ?");
  CSL_ASSIGN_OR_RETURN(const bool found, row.Bind(name).Step());
  if (!found) return std::nullopt;
  return ReadMemberRow(row);
}

Status Store::RevokeMember(const std::string& name, TimePoint when) {
  MutexLock lock(mu_);
  return db_.Transact([&]() -> Status {
    mu_.AssertHeld();
    ++members_version_;
    CSL_RETURN_IF_ERROR(
        db_.Prepare("UPDATE members SET revoked = 1 WHERE name = ?").Bind(name).Run());
    CSL_RETURN_IF_ERROR(EndTokens(name));
    return EndCertificates(name, when);
  });
}

Status Store::SetLastSeen(const std::string& name, TimePoint when) {
  MutexLock lock(mu_);
  return db_.Prepare("UPDATE members SET last_seen = ? WHERE name = ?")
      .Bind(ToUnixMillis(when))
      .Bind(name)
      .Run();
}

Status Store::AddCertificate(const CertificateRecord& certificate) {
  MutexLock lock(mu_);
  return db_.Transact([&]() -> Status {
    mu_.AssertHeld();
    ++members_version_;
    CSL_RETURN_IF_ERROR(db_.Prepare("UPDATE certificates SET ends = ? "
                                    "WHERE member = ? AND used = 0 AND ends = 0")
                            .Bind(ToUnixMillis(certificate.issued))
                            .Bind(certificate.member)
                            .Run());
    return InsertCertificate(certificate);
  });
}

StatusOr<std::optional<CertificateRecord>> Store::FindCertificate(const std::string& serial) {
  MutexLock lock(mu_);
  Statement row = db_.Prepare(
      "SELECT serial, member, issued, expires, used, ends FROM certificates WHERE serial = ?");
  CSL_ASSIGN_OR_RETURN(const bool found, row.Bind(serial).Step());
  if (!found) return std::nullopt;
  return ReadCertificateRow(row);
}

StatusOr<std::optional<TimePoint>> Store::LastRenewed(const std::string& member) {
  MutexLock lock(mu_);
  Statement row = db_.Prepare(
      "SELECT issued FROM certificates JOIN members ON member = name "
      "WHERE name = ? AND issued > joined ORDER BY issued DESC LIMIT 1");
  CSL_ASSIGN_OR_RETURN(const bool found, row.Bind(member).Step());
  if (!found) return std::nullopt;
  return FromUnixMillis(row.Int(0));
}

Status Store::UseCertificate(const CertificateRecord& certificate, TimePoint others_end) {
  MutexLock lock(mu_);
  return db_.Transact([&]() -> Status {
    mu_.AssertHeld();
    ++members_version_;
    CSL_RETURN_IF_ERROR(db_.Prepare("UPDATE certificates SET ends = ? WHERE member = ? AND "
                                    "serial <> ? AND ends = 0 AND issued <= ? AND EXISTS (SELECT 1 "
                                    "FROM certificates WHERE serial = ? AND used = 0 AND ends = 0)")
                            .Bind(ToUnixMillis(others_end))
                            .Bind(certificate.member)
                            .Bind(certificate.serial)
                            .Bind(ToUnixMillis(certificate.issued))
                            .Bind(certificate.serial)
                            .Run());
    return db_.Prepare("UPDATE certificates SET used = 1 WHERE serial = ?")
        .Bind(certificate.serial)
        .Run();
  });
}

StatusOr<std::vector<CertificateRecord>> Store::EndedCertificates(TimePoint now) {
  MutexLock lock(mu_);
  Statement row = db_.Prepare(
      "SELECT serial, member, issued, expires, used, ends FROM certificates "
      "WHERE ends <> 0 AND ends <= ? AND expires > ? ORDER BY serial");
  row.Bind(ToUnixMillis(now)).Bind(ToUnixMillis(now));
  std::vector<CertificateRecord> ended;
  while (true) {
    CSL_ASSIGN_OR_RETURN(const bool more, row.Step());
    if (!more) return ended;
    ended.push_back(ReadCertificateRow(row));
  }
}

Status Store::InsertCertificate(const CertificateRecord& certificate) {
  return db_
      .Prepare(
          "INSERT INTO certificates (serial, member, issued, expires, used, ends) "
          "VALUES (?, ?, ?, ?, 0, 0)")
      .Bind(certificate.serial)
      .Bind(certificate.member)
      .Bind(ToUnixMillis(certificate.issued))
      .Bind(ToUnixMillis(certificate.expires))
      .Run();
}

Status Store::EndTokens(const std::string& member) {
  return db_.Prepare("UPDATE tokens SET used = 1 WHERE member = ?").Bind(member).Run();
}

// Those that would have gone on after `when`.
Status Store::EndCertificates(const std::string& member, TimePoint when) {
  return db_.Prepare("UPDATE certificates SET ends = ? WHERE member = ? AND (ends = 0 OR ends > ?)")
      .Bind(ToUnixMillis(when))
      .Bind(member)
      .Bind(ToUnixMillis(when))
      .Run();
}

}  // namespace consilium
