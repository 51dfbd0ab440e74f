/* The actions of thor tune. */
#ifndef CLI_TUNE_H
#define CLI_TUNE_H

#ifdef __cplusplus
extern "C" {
#endif

/* argv[0] is the action's name.  They return a status, or OPTIONS_DONE. */
int tune_train(int argc, char **argv);
int tune_merge(int argc, char **argv);
int tune_federate(int argc, char **argv);
int tune_eval(int argc, char **argv);
int tune_classify(int argc, char **argv);
int tune_generate(int argc, char **argv);
int tune_experiments(int argc, char **argv);
int tune_redact(int argc, char **argv);
int tune_cipher(int argc, char **argv);

#ifdef __cplusplus
}
#endif
#endif
