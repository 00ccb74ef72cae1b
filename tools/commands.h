/* The subcommands of tern, one file each. argv[0] is the subcommand's name; they return the exit
 * status. */
#ifndef TOOLS_COMMANDS_H
#define TOOLS_COMMANDS_H

#define EXIT_USAGE 2

int tern_command_down(int argc, char **argv);
int tern_command_fetch(int argc, char **argv);
int tern_command_lab(int argc, char **argv);
int tern_command_ls(int argc, char **argv);
int tern_command_nstat(int argc, char **argv);
int tern_command_run(int argc, char **argv);
int tern_command_script(int argc, char **argv);
int tern_command_serve(int argc, char **argv);
int tern_command_settings(int argc, char **argv);
int tern_command_ss(int argc, char **argv);
int tern_command_up(int argc, char **argv);
int tern_command_why(int argc, char **argv);
int tern_command_wire(int argc, char **argv);

#endif
