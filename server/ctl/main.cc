// consilium-ctl: what the people who run a federation type.

#include <CLI/CLI.hpp>
#include <memory>

#include "common/cli/cli.h"
#include "server/ctl/commands.h"

int main(int argc, char** argv) {
  using consilium::Ctl;
  using consilium::Status;
  consilium::WriteNoCore();
  const std::stop_token stop = consilium::StopOnSignals();

  CLI::App app("Runs a Consilium federation: invitations, runs, models.", "consilium-ctl");
  app.require_subcommand(1);
  std::string dir = ".";
  bool json = false;
  app.add_option("--dir", dir, "The folder of your identity (DIR/admin of the coordinator)")
      ->required();
  app.add_flag("--json", json, "Print JSON");

  std::string name, role, plan, init, from, output;
  bool watch = false;
  std::function<Status(Ctl&)> command;
  const auto add = [&](CLI::App* parent, const char* verb, const char* help,
                       std::function<Status(Ctl&)> run) {
    CLI::App* sub = parent->add_subcommand(verb, help);
    sub->fallthrough();
    sub->callback([&command, run = std::move(run)] { command = run; });
    return sub;
  };

  CLI::App* invite = add(&app, "invite", "Invite a hospital; prints the line it joins with",
                         [&](Ctl& ctl) { return ctl.Invite(name, role); });
  invite->add_option("name", name, "The hospital's name: a-z, 0-9, '-', '.'")->required();
  invite
      ->add_option(
          "--role", role,
          "hospital, admin, observer (reads runs and sites), or inference (pulls what is released)")
      ->check(CLI::IsMember({"hospital", "admin", "observer", "inference"}))
      ->default_val("hospital");
  add(&app, "sites", "List the hospitals and everybody else who has joined",
      [](Ctl& ctl) { return ctl.ListSites(); });
  add(&app, "revoke", "Shut a hospital, or whoever has joined, out at once",
      [&](Ctl& ctl) { return ctl.RevokeSite(name); })
      ->add_option("name", name)
      ->required();

  add(&app, "renew", "Get another key and certificate for this folder's identity",
      [](Ctl& ctl) { return ctl.Renew(); });

  CLI::App* run = app.add_subcommand("run", "Training runs");
  run->require_subcommand(1)->fallthrough();
  CLI::App* submit = add(run, "submit", "Start a run; prints its id",
                         [&](Ctl& ctl) { return ctl.SubmitRun(plan, init, from, watch); });
  submit->add_option("plan", plan, "The plan, a YAML file")->required();
  CLI::Option* file =
      submit->add_option("--init", init, "A model file to start from, instead of the plan's seed");
  submit->add_option("--from", from, "A global model to start from: RUN@ROUND, or RUN for its last")
      ->excludes(file);
  submit->add_flag("--watch", watch, "Show the rounds until the run ends");
  add(run, "list", "List the runs", [](Ctl& ctl) { return ctl.ListRuns(); });
  add(run, "show", "Show a run: its sites, rounds and scores",
      [&](Ctl& ctl) { return ctl.ShowRun(name); })
      ->add_option("run", name)
      ->required();
  std::string page;
  CLI::App* report =
      add(run, "report", "Write a page with a run's course and its last model's figures",
          [&](Ctl& ctl) { return ctl.ReportRun(name, page); });
  report->add_option("run", name)->required();
  report->add_option("-o,--output", page, "The HTML file")->required();
  add(run, "watch", "Show a run's rounds as they end", [&](Ctl& ctl) { return ctl.WatchRun(name); })
      ->add_option("run", name)
      ->required();
  add(run, "cancel", "End a run", [&](Ctl& ctl) { return ctl.CancelRun(name); })
      ->add_option("run", name)
      ->required();

  add(run, "pause", "Stop a run where its round ends", [&](Ctl& ctl) { return ctl.PauseRun(name); })
      ->add_option("run", name)
      ->required();
  add(run, "resume", "Go on with a paused run", [&](Ctl& ctl) { return ctl.ResumeRun(name); })
      ->add_option("run", name)
      ->required();

  CLI::App* model = app.add_subcommand("model", "Global models");
  model->require_subcommand(1)->fallthrough();
  add(model, "list", "List the global models", [&](Ctl& ctl) {
    return ctl.ListModels(name);
  })->add_option("run", name, "Of this run alone");
  CLI::App* pull = add(model, "pull", "Fetch a global model",
                       [&](Ctl& ctl) { return ctl.PullModel(name, output); });
  pull->add_option("model", name, "RUN@ROUND, or RUN for its last")->required();
  pull->add_option("-o,--output", output, "The file to write")->required();
  std::string channel;
  CLI::App* release = add(model, "release", "Tell the hospitals of a channel to use a model",
                          [&](Ctl& ctl) { return ctl.ReleaseModel(name, channel); });
  CLI::App* withdraw = add(model, "withdraw", "Tell them to use the one released before it",
                           [&](Ctl& ctl) { return ctl.WithdrawModel(name, channel); });
  for (CLI::App* verb : {release, withdraw}) {
    verb->add_option("model", name, "RUN@ROUND, or RUN for its last")->required();
    verb->add_option("--channel", channel, "Its name, \"stable\" say: a-z, 0-9, '-', '.'")
        ->required();
  }
  add(model, "releases", "List what was released", [](Ctl& ctl) { return ctl.ListReleases(); });

  CLI::App* audit = app.add_subcommand("audit", "The coordinator's audit trail");
  audit->require_subcommand(1)->fallthrough();
  add(audit, "show", "Print it, a JSON object a line", [](Ctl& ctl) { return ctl.ShowAudit(); });
  add(audit, "verify", "Say whether it is whole", [](Ctl& ctl) { return ctl.VerifyAudit(); });
  add(audit, "pull", "Fetch it into a file and check it",
      [&](Ctl& ctl) { return ctl.PullAudit(output); })
      ->add_option("-o,--output", output, "The file to write")
      ->required();

  CLI11_PARSE(app, argc, argv);
  return consilium::ExitCode("consilium-ctl", [&]() -> Status {
    CSL_ASSIGN_OR_RETURN(Ctl ctl, Ctl::Open(dir, json, stop));
    return command(ctl);
  });
}
